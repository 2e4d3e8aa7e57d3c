"""Folders as people have them (COCO, Roboflow, YOLO, VOC) are read as the same objects, for each split, and converted."""

import gzip
import json
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from numpy.random import default_rng
from PIL import Image

from core.data.coco import instances
from core.data.coco.dataset import Coco
from core.errors import UserError
from core.runs.config import decode, encode
from tests.helpers import mutators
from train.__main__ import main
from train.cli.short_flags import expanded
from train.job.build import dataset
from train.recipes.on_shapes import shapes
from train.recipes.own_data import coco
from train.run import Data

Splits = dict[str, tuple[Path, dict]]  # by name: the folder of the images, and the records


def sources(root: Path) -> Splits:
    """Two splits of 4 and 3 images, whose names are flat."""
    splits = {}
    for seed, (split, count) in enumerate({"train": 4, "val": 3}.items()):
        path = mutators.write_sound(root / split, default_rng(seed), images=count)
        file = json.loads(path.read_text())
        for image in file["images"]:
            old = path.parent / "images" / image["file_name"]
            image["file_name"] = f"{split}-{old.stem}{old.suffix}"
            old.rename(path.parent / "images" / image["file_name"])
        splits[split] = path.parent / "images", file
    return splits


def put(value, path: Path) -> None:
    """Writes text, or a value as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if type(value) is str else json.dumps(value), encoding="utf-8")


def roboflow(root: Path, splits: Splits) -> None:
    """As Roboflow writes it: train and valid, photos beside the annotations, and a class that groups the others."""
    for split, (images, file) in splits.items():
        folder = root / {"val": "valid"}.get(split, split)
        shutil.copytree(images, folder)
        group = {"id": 50, "name": "things", "supercategory": "none"}
        classes = [group, *(c | {"supercategory": "things"} for c in file["categories"])]
        put(file | {"categories": classes}, folder / "_annotations.coco.json")


def coco2017(root: Path, splits: Splits) -> None:
    """COCO's own, with files that are not about boxes."""
    for split, (images, file) in splits.items():
        shutil.copytree(images, root / f"{split}2017")
        put(file, root / "annotations" / f"instances_{split}2017.json")
        put({}, root / "annotations" / f"captions_{split}2017.json")


def one_folder(root: Path, splits: Splits) -> None:
    """All images in one folder, and two files."""
    for split, (images, file) in splits.items():
        shutil.copytree(images, root / "images", dirs_exist_ok=True)
        put(file, root / f"{split}.json")


def images_by_split(root: Path, splits: Splits) -> None:
    """A folder of images and one of annotations."""
    for split, (images, file) in splits.items():
        shutil.copytree(images, root / "images" / split)
        put(file, root / "annotations" / f"my_{split}.json")


def folder_by_split(root: Path, splits: Splits) -> None:
    """A folder for each split."""
    for split, (images, file) in splits.items():
        shutil.copytree(images, root / split / "images")
        put(file, root / split / "labels.json")


def yolo_lines(file: dict, image: dict, outline: bool = False) -> str:
    """The boxes of an image as YOLO writes them, or as outlines."""
    numbers = {id: k for k, id in enumerate(sorted(mutators.NAMES))}
    lines = []
    for a in file["annotations"]:
        if a["image_id"] == image["id"]:
            x, y, w, h = a["bbox"]
            values = [x + w / 2, y + h / 2, w, h] if not outline else [x, y, x + w, y, x + w, y + h, x, y + h]
            values = [v / image[("width", "height")[k % 2]] for k, v in enumerate(values)]
            lines.append(" ".join([str(numbers[a["category_id"]]), *(f"{v:.8f}" for v in values)]))
    return "\n".join(lines)


def yolo_labels(file: dict, folder: Path, *, outline: bool = False) -> None:
    """Writes the text file of every image."""
    for image in file["images"]:
        put(yolo_lines(file, image, outline), folder / f"{Path(image['file_name']).stem}.txt")


YOLO_NAMES = json.dumps([mutators.NAMES[id] for id in sorted(mutators.NAMES)])


def yolo(root: Path, splits: Splits) -> None:
    """YOLO's usual layout."""
    for split, (images, file) in splits.items():
        shutil.copytree(images, root / "images" / split)
        yolo_labels(file, root / "labels" / split)
    put(f"path: {root}\ntrain: images/train\nval: [images/val]\nnames: {YOLO_NAMES}\n", root / "data.yaml")


def yolo_of_roboflow(root: Path, splits: Splits) -> None:
    """Roboflow's YOLO download, whose paths lead out of the folder; with outlines, and names by number."""
    for split, (images, file) in splits.items():
        shutil.copytree(images, root / split / "images")
        yolo_labels(file, root / split / "labels", outline=True)
    names = "".join(f"  {k}: {mutators.NAMES[id]}\n" for k, id in enumerate(sorted(mutators.NAMES)))
    put(f"train: ../train/images\nval: ../val/images\nnc: 4\nnames:\n{names}", root / "data.yaml")


def yolo_lists(root: Path, splits: Splits) -> None:
    """Text files that list the images, with the labels beside them."""
    for split, (images, file) in splits.items():
        shutil.copytree(images, root / split)
        yolo_labels(file, root / split)
        put("\n".join(f"./{split}/{i['file_name']}" for i in file["images"]), root / f"{split}.txt")
    put(f"train: train.txt\nval: val.txt\nnames: {YOLO_NAMES}\n", root / "my.yaml")


def voc_page(file: dict, image: dict) -> str:
    """The XML of an image, whose pixels count from 1."""
    objects = []
    for a in file["annotations"]:
        if a["image_id"] == image["id"]:
            x, y, w, h = a["bbox"]
            corners = dict(xmin=x + 1, ymin=y + 1, xmax=x + w, ymax=y + h)
            box = "".join(f"<{key}>{value}</{key}>" for key, value in corners.items())
            name = escape(mutators.NAMES[a["category_id"]])
            objects.append(f"<object><name>{name}</name><difficult>0</difficult><bndbox>{box}</bndbox></object>")
    size = f"<size><width>{image['width']}</width><height>{image['height']}</height><depth>3</depth></size>"
    return f"<annotation><filename>{image['file_name']}</filename>{size}{''.join(objects)}</annotation>"


def voc(root: Path, splits: Splits) -> None:
    """VOC's layout."""
    for split, (images, file) in splits.items():
        shutil.copytree(images, root / "JPEGImages", dirs_exist_ok=True)
        for image in file["images"]:
            put(voc_page(file, image), root / "Annotations" / f"{Path(image['file_name']).stem}.xml")
        put("\n".join(Path(i["file_name"]).stem for i in file["images"]), root / f"ImageSets/Main/{split}.txt")


def voc_beside(root: Path, splits: Splits) -> None:
    """XML files beside the images of each split."""
    for split, (images, file) in splits.items():
        shutil.copytree(images, root / {"val": "valid"}.get(split, split))
        for image in file["images"]:
            page = voc_page(file, image).replace("<filename>", "<filename>elsewhere-")
            put(page, root / {"val": "valid"}.get(split, split) / f"{Path(image['file_name']).stem}.xml")


WRITERS: list[Callable[[Path, Splits], None]] = [roboflow, coco2017, one_folder, images_by_split, folder_by_split]
WRITERS += [yolo, yolo_of_roboflow, yolo_lists, voc, voc_beside]


def objects(data: Coco) -> dict[str, list]:
    """The classes and boxes of each image, by the end of its name."""
    return {
        Path(name).name: sorted(
            (data.categories[label].name, *(round(v, 2) for v in box))
            for label, box in zip(data.objects(k)[1].tolist(), data.objects(k)[0].tolist())
        )
        for k, name in enumerate(data.instances.names)
    }


def expected(file: dict) -> dict[str, list]:
    """The same of the records from which a layout was written."""
    return {
        image["file_name"]: sorted(
            (mutators.NAMES[a["category_id"]], x, y, x + w, y + h)
            for a in file["annotations"]
            for x, y, w, h in [a["bbox"]]
            if a["image_id"] == image["id"]
        )
        for image in file["images"]
    }


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_layout_is_read_as_its_objects(tmp_path, write, capsys):
    splits = sources(tmp_path / "source")
    write(root := tmp_path / "data", splits)
    for split, (_, file) in splits.items():
        data = dataset(Data(kind="coco", folder=root), split)
        assert objects(data) == expected(file)
        assert [data[k].size for k in range(len(data))] == [tuple(s) for s in data.sizes.tolist()]
    assert objects(Coco(root)) == expected(splits["val"][1]), "eval and the app take the validation images"
    assert [c.name for c in Coco(root).categories] == [c.name for c in Coco(root, split="train").categories]
    assert main(["check", str(root), "--fix-to", str(tmp_path / "fixed.json")]) == 0
    assert f"{root}" in capsys.readouterr().out
    assert main(["convert", str(root), "--split", "val", "--out", str(tmp_path / "val.json")]) == 0
    written = capsys.readouterr().out
    folder = Path(written.split("--images ")[1].strip())
    assert "3 images, 12 boxes" in written
    assert objects(Coco(tmp_path / "val.json", folder)) == expected(splits["val"][1])


def test_the_file_of_a_download_finds_the_photos_beside_it(tmp_path):
    splits = sources(tmp_path / "source")
    roboflow(tmp_path / "data", splits)
    assert objects(Coco(tmp_path / "data/valid/_annotations.coco.json")) == expected(splits["val"][1])


def test_images_for_testing_take_the_place_of_missing_validation_images(tmp_path):
    splits = sources(tmp_path / "source")
    roboflow(tmp_path / "data", splits)
    (tmp_path / "data/valid").rename(tmp_path / "data/test")
    assert objects(Coco(tmp_path / "data")) == expected(splits["val"][1])
    with pytest.raises(UserError, match="has no train images"):
        (tmp_path / "data/train").rename(tmp_path / "data/other")
        Coco(tmp_path / "data", split="train")


def test_difficult_objects_of_voc_are_crowd_regions(tmp_path):
    splits = sources(tmp_path / "source")
    voc(tmp_path / "data", splits)
    page = next((tmp_path / "data/Annotations").glob("val-*.xml"))
    page.write_text(page.read_text().replace("<difficult>0", "<difficult>1", 1))
    assert Coco(tmp_path / "data").instances.crowd.sum() == 1


def test_yolo_boxes_are_fractions_of_the_photo_as_it_is_shown(tmp_path):
    splits = sources(tmp_path / "source")
    yolo(tmp_path / "data", splits)
    path = next((tmp_path / "data/images/val").glob("*.jpg"))
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(path) as image:
        shown, turned = image.size, image.transpose(Image.Transpose.ROTATE_90)
    turned.save(path, exif=exif)
    data = Coco(tmp_path / "data")
    k = [Path(n).name for n in data.instances.names].index(path.name)
    assert tuple(data.sizes[k].tolist()) == shown[::-1] and objects(data) == expected(splits["val"][1])


def test_relative_and_absolute_paths_of_images_may_be_mixed(tmp_path, monkeypatch):
    splits = sources(tmp_path / "source")
    yolo_lists(root := tmp_path / "data", splits)
    first, *others = (root / "val.txt").read_text().splitlines()
    put("\n".join([str(root / first), *others]), root / "val.txt")
    monkeypatch.chdir(tmp_path)
    assert objects(Coco(Path("data"))) == expected(splits["val"][1])


@pytest.mark.parametrize(
    ("write", "pattern"), [(yolo, "labels/val/*.txt"), (yolo_lists, "val.txt"), (voc, "ImageSets/Main/val.txt")]
)
def test_texts_are_utf_8_with_or_without_a_mark(tmp_path, write, pattern):
    splits = sources(tmp_path / "source")
    write(root := tmp_path / "data", splits)
    path = sorted(root.glob(pattern))[0]
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert objects(Coco(root)) == expected(splits["val"][1])
    path.write_text(path.read_text(encoding="utf-8-sig"), encoding="utf-16")
    with pytest.raises(UserError, match=rf"{path} is not UTF-8 text .*; save it as UTF-8"):
        Coco(root)


@pytest.mark.parametrize("exif", [b"II*\0", b"nonsense"])
def test_the_size_of_an_image_with_damaged_exif_is_one_sentence(tmp_path, exif):
    """It ends too early, or is none."""
    yolo(root := tmp_path / "data", sources(tmp_path / "source"))
    path = next((root / "images/val").glob("*.jpg"))
    Image.new("RGB", (20, 10)).save(path, "PNG", exif=exif)
    with pytest.raises(UserError, match=f"{path} cannot be read"):
        Coco(root)


def encoded(name: str) -> str:
    """The first line of an XML file in an encoding."""
    return f'<?xml version="1.0" encoding="{name}"?>'


SPOILT = {  # (layout, file, change of its text, words)
    "a class that is not listed": (yolo, "labels/val/*.txt", lambda t: "7" + t[1:], ["line 1 is '7 ", "data.yaml"]),
    "a word": (yolo, "labels/val/*.txt", lambda t: t.replace("0 ", "cat ", 1), ["cat"]),
    "three numbers": (yolo, "labels/val/*.txt", lambda t: "0 0.5 0.5 0.5\n" + t, ["line 1"]),
    "no names": (yolo, "data.yaml", lambda t: t.replace("names", "name"), ["without data.yaml"]),
    "names is a text": (yolo, "data.yaml", lambda t: t.split("names")[0] + "names: cat", ["no list of names"]),
    "a folder that is gone": (yolo, "data.yaml", lambda t: t.replace("images/val", "images/no"), ["images/no"]),
    "no YAML": (yolo, "data.yaml", lambda t: "a: [", ["not a YAML file"]),
    "a date that is none": (yolo, "data.yaml", lambda t: t + "day: 2024-02-30\n", ["not a YAML file", "day is out of"]),
    "not a number": (yolo, "labels/val/*.txt", lambda t: "0 nan 0.5 0.5 0.5\n" + t, ["line 1 is '0 nan"]),
    "a number without end": (yolo, "labels/val/*.txt", lambda t: "0 1e400 0.5 0.5 0.5\n" + t, ["line 1"]),
    "an encoding that is not read": (
        voc,
        "Annotations/val-*.xml",
        lambda t: encoded("gb2312") + t,
        ["not an XML file"],
    ),
    "an encoding that is none": (voc, "Annotations/val-*.xml", lambda t: encoded("klingon") + t, ["not an XML file"]),
    "a width that is none": (
        *(
            voc,
            "Annotations/val-*.xml",
            lambda t: t.replace("<width>", "<width>nan</width><width>"),
            ["width is 'nan'"],
        ),
    ),
    "a width without end": (
        *(voc, "Annotations/val-*.xml", lambda t: t.replace("<width>", "<width>1e400</width><width>"), ["'1e400'"]),
    ),
    "no XML": (voc, "Annotations/val-*.xml", lambda t: t[:50], ["not an XML file"]),
    "no name": (voc, "Annotations/val-*.xml", lambda t: t.replace("name>", "nome>"), ["has no name"]),
    "no box": (voc, "Annotations/val-*.xml", lambda t: t.replace("bndbox", "box"), ["has no bndbox"]),
    "no number": (voc, "Annotations/val-*.xml", lambda t: t.replace("<xmin>", "<xmin>x"), ["xmin is 'x"]),
    "two files": (one_folder, "val.json", lambda t: t, ["several files", "val.json", "val_2.json"]),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_spoilt_folder_is_one_sentence(tmp_path, what):
    write, pattern, change, words = SPOILT[what]
    write(root := tmp_path / "data", sources(tmp_path / "source"))
    path = sorted(root.glob(pattern))[0]
    path.write_text(change(path.read_text()))
    if what == "two files":
        shutil.copy(path, path.with_name("val_2.json"))
    with pytest.raises(UserError) as caught:
        Coco(root)
    message = str(caught.value)
    assert all(word in message for word in words) and "\n" not in message and str(root) in message, message


FOREIGN = {
    "labelme": ({"version": "5", "shapes": [], "imagePath": "a.jpg"}, "labelme"),
    "CreateML": ([{"image": "a.jpg", "annotations": [{"label": "x", "coordinates": {}}]}], "CreateML"),
    "VIA": ({"a.jpg123": {"filename": "a.jpg", "regions": []}}, "VIA"),
    "Label Studio": ([{"id": 1, "annotations": [], "data": {"image": "a.jpg"}}], "Label Studio"),
    "results": ([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}], "results"),
    "LVIS": (
        {
            "images": [
                {"id": 1, "coco_url": "http://x/1.jpg", "width": 9, "height": 9, "not_exhaustive_category_ids": []}
            ],
            "annotations": [],
            "categories": [{"id": 1, "name": "ant", "frequency": "r"}],
        },
        "LVIS",
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_format_that_is_not_read_is_named(tmp_path, what):
    value, word = FOREIGN[what]
    put(value, tmp_path / "a.json")
    with pytest.raises(UserError, match=word):
        Coco(tmp_path / "a.json")


def test_compressed_files_are_read_and_lines_of_json_named(tmp_path):
    splits = sources(tmp_path / "source")
    images, file = splits["val"]
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps(file).encode()))
    assert objects(Coco(tmp_path / "a.json.gz", images)) == expected(file)
    (tmp_path / "b.json.gz").write_bytes(b"no")
    with pytest.raises(UserError, match=r"b.json.gz cannot be read"):
        Coco(tmp_path / "b.json.gz", images)
    put('{"a": 1}\n{"a": 2}', tmp_path / "a.jsonl")
    with pytest.raises(UserError, match="a JSON object a line"):
        Coco(tmp_path / "a.jsonl", images)


def test_a_compressed_file_that_expands_without_end_is_refused_early(tmp_path, monkeypatch):
    """By a sentence, after no more than the limit and a little has been expanded."""
    monkeypatch.setattr(instances, "MOST_EXPANDED", 2**21)
    for size in (2**21, 2**21 + 1, 2**26):
        (tmp_path / f"{size}.json.gz").write_bytes(gzip.compress(bytes(size), mtime=0))
    assert instances.read_raw(tmp_path / f"{2**21}.json.gz") == bytes(2**21)
    tracemalloc.start()
    for size in (2**21 + 1, 2**26):
        with pytest.raises(UserError, match=f"{size}.json.gz expands to more than .* by gunzip"):
            instances.read_raw(tmp_path / f"{size}.json.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_the_short_flag_is_the_field_of_the_card():
    assert expanded(["--data", "x", "--data.images=y"], coco.run()) == ["--data.folder=x", "--data.images=y"]
    assert expanded(["--data=x"], shapes.run()) == ["--data.folder=x", "--data.kind=coco"]
    assert expanded(["--data.val", "x"], shapes.run()) == ["--data.val", "x"]
    run = replace(coco.run(), data=Data(kind="coco", folder=Path("x")))
    assert encode(run)["data"]["folder"] == "x" and decode(type(run), encode(run), "card") == run
    old = encode(coco.run())
    del old["data"]["folder"]
    assert decode(type(run), old, "card") == coco.run(), "cards of before open"


def test_a_file_is_no_folder(tmp_path):
    put({}, tmp_path / "a.json")
    with pytest.raises(UserError, match=r"a\.json is no folder.*--data\.train"):
        dataset(Data(kind="coco", folder=tmp_path / "a.json"), "train")


def test_convert_writes_nothing_over_a_file(tmp_path, capsys):
    yolo(tmp_path / "data", sources(tmp_path / "source"))
    (tmp_path / "there.json").write_text("{}")
    assert main(["convert", str(tmp_path / "data"), "--out", str(tmp_path / "there.json")]) == 2
    assert main(["convert", str(tmp_path / "data")]) == 2
    shown = capsys.readouterr().err
    assert "no file is overwritten" in shown and "--out NEW.json" in shown
    assert (tmp_path / "there.json").read_text() == "{}"
