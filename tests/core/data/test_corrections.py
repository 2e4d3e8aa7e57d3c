"""Instances files as other programs write them: what is unambiguous is read as what it means, and noted in one line."""

import copy
import json
import sys
import unicodedata
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from numpy.random import default_rng
from PIL import Image
from pycocotools import mask

from core.data import check
from core.data.coco.dataset import Coco
from core.data.coco.folder import ImageFolder
from core.data.coco.outlines import box_of
from core.errors import UserError
from tests.helpers import mutators
from train.__main__ import main


@pytest.fixture
def data(tmp_path) -> Path:
    """The instances file of a folder without faults."""
    return mutators.write_sound(tmp_path / "data", default_rng(0))


def each(section: str, key: str, change):
    """A function that changes a field of every record of a list."""

    def spoil(file: dict) -> None:
        for record in file[section]:
            record[key] = change(record[key])

    return spoil


def one(section: str, place: int, key: str, value):
    """A function that sets a field of one record."""
    return lambda file: file[section][place].__setitem__(key, value)


def both(*spoils):
    """A function that makes several changes."""
    return lambda file: [spoil(file) for spoil in spoils]


SAME = {  # ways to write a sound file that mean the very same records
    "class ids of annotations as text": each("annotations", "category_id", str),
    "class ids as floats": each("annotations", "category_id", float),
    "class ids as text of floats": each("annotations", "category_id", lambda id: f"{id}.0"),
    "ids of classes as text": both(each("categories", "id", str), each("annotations", "category_id", str)),
    "ids of classes as text, and numbers in annotations": each("categories", "id", str),
    "image ids of annotations as text": each("annotations", "image_id", str),
    "image ids as text": both(each("images", "id", str), each("annotations", "image_id", str)),
    "image ids with zeros before": both(each("images", "id", "{:012d}".format), each("annotations", "image_id", str)),
    "ids of annotations as text": each("annotations", "id", str),
    "one id of an annotation as text": one("annotations", 3, "id", "3"),
    "one class id as text": one("annotations", 3, "category_id", "7"),
    "one id of an image as a float": one("images", 0, "id", 0.0),
    "sizes as floats": both(each("images", "height", float), each("images", "width", float)),
    "a size as text": lambda file: file["images"][1].update(width=str(file["images"][1]["width"])),
    "crowd flags as text": each("annotations", "iscrowd", "{}.0".format),
    "areas as lists": each("annotations", "area", lambda area: [area]),
    "areas as text": each("annotations", "area", "{}".format),
    "names under the folder's own": each("images", "file_name", "images/{}".format),
    "names under several folders": each("images", "file_name", "/mnt/me/data/images/{}".format),
    "names of a Windows machine": each("images", "file_name", lambda name: "C:\\me\\" + name.replace("/", "\\")),
    "backslashes": each("images", "file_name", lambda name: name.replace("/", "\\")),
    "case": each("images", "file_name", str.upper),
    "case of the ending": each("images", "file_name", lambda name: name.replace(".png", ".PNG")),
    "decomposed letters": each("images", "file_name", lambda name: unicodedata.normalize("NFD", name)),
    "names as URLs write them": each("images", "file_name", quote),
    "URLs": each("images", "file_name", lambda name: f"https://x.org/bucket/{quote(name)}?Signature=a%2Fb#1"),
    "names without their folder": each("images", "file_name", lambda name: name.split("/")[-1]),
}


@pytest.mark.parametrize("what", SAME)
def test_another_way_to_write_it_is_read_the_same(data, capsys, what):
    sound, file = Coco(data), json.loads(data.read_text())
    whole = copy.deepcopy(file)
    SAME[what](file)
    assert json.dumps(file) != json.dumps(whole), "or nothing is tested"
    data.write_text(json.dumps(file))
    read = Coco(data)
    assert read.truth() == sound.truth() and sound.instances.note == "" and " read as " in read.instances.note
    for a, b in zip(read, sound, strict=True):
        assert (a.pixels == b.pixels).all() and (a.boxes == b.boxes).all() and (a.labels == b.labels).all()
    fixed = data.with_name("fixed.json")
    assert main(["check", str(data), "--fix-to", str(fixed)]) == 0
    shown = capsys.readouterr()
    assert f"note            {read.instances.note}" in shown.out and not shown.err
    assert json.loads(fixed.read_text()) == whole and main(["check", str(fixed)]) == 0
    assert "note  " not in capsys.readouterr().out


def test_ids_that_are_no_numbers_are_numbered(data):
    """By the images' own names, with an image that has no box, and with numbers of 20 digits."""
    sound, file = Coco(data).truth(), json.loads(data.read_text())
    file["annotations"] = [a for a in file["annotations"] if a["image_id"] != 20]
    sound["annotations"] = [a for a in sound["annotations"] if a["image_id"] != 20]
    names = {0: "IMG_a", 10: 10, 20: "", 30: 12345678901234567890}
    names[20] = "IMG b"
    for record, key in [*((i, "id") for i in file["images"]), *((a, "image_id") for a in file["annotations"])]:
        record[key] = names[record[key]]
    for k, a in enumerate(file["annotations"]):
        a["id"] = f"{k:08x}-uuid"
    data.write_text(json.dumps(file))
    read = Coco(data).truth()
    ids = [i["id"] for i in read["images"]]
    assert ids == [11, 10, 12, 13] and len({a["id"] for a in read["annotations"]}) == 12
    new = dict(zip([0, 10, 20, 30], ids))
    for a, b in zip(read["annotations"], sound["annotations"], strict=True):
        assert (a["image_id"], a["bbox"], a["category_id"]) == (new[b["image_id"]], b["bbox"], b["category_id"])


AMBIGUOUS = {  # (the change, words of the message)
    "a text that is another class's number": (one("categories", 0, "id", "40"), ["categories[0] has id '40'"]),
    "a float that is another image's number": (one("images", 1, "id", 0.0), ["images[1] has id 0.0"]),
    "an id that nothing refers to": (one("images", 1, "id", "x"), ["images[1] has id 'x'"]),
    "a class that does not exist": (one("annotations", 2, "category_id", "8"), ["category_id '8'", "whole number"]),
    "half a pixel": (one("images", 1, "width", 60.5), ["image 10 has width 60.5"]),
    "a negative size": (one("images", 1, "width", "-60"), ["image 10 has width '-60'"]),
    "a name that is another class": (
        both(one("categories", 0, "name", 7), one("categories", 1, "name", "7")),
        ["category 3 has name 7"],
    ),
    "an infinite id": (one("images", 1, "id", float("inf")), ["images[1] has id inf"]),
    "an area of two": (one("annotations", 0, "area", [3, 4]), ["annotation 0 (image 0) has area [3, 4]"]),
    "a crowd flag of 2": (one("annotations", 0, "iscrowd", "2"), ["annotation 0 (image 0) has iscrowd '2'"]),
    "a file in another folder": (one("images", 0, "file_name", "other/é0.jpg"), ["other/é0.jpg", "sub/é0.jpg"]),
    "a similar file": (one("images", 1, "file_name", "image 1.png"), ["'image 1.png'", "lacks"]),
}


@pytest.mark.parametrize("what", AMBIGUOUS)
def test_what_is_ambiguous_is_named(data, what):
    change, words = AMBIGUOUS[what]
    file = json.loads(data.read_text())
    change(file)
    data.write_text(json.dumps(file))
    with pytest.raises(UserError) as caught:
        Coco(data)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_two_texts_of_one_number_are_two_images(data):
    file = json.loads(data.read_text())
    change = {10: "4", 20: "04"}
    for record, key in [*((i, "id") for i in file["images"]), *((a, "image_id") for a in file["annotations"])]:
        record[key] = change.get(record[key], record[key])
    data.write_text(json.dumps(file))
    assert Coco(data).ids == (0, 31, 32, 30)


def test_class_names_that_are_numbers_are_texts(data):
    file = json.loads(data.read_text())
    for k, category in enumerate(file["categories"]):
        category["name"] = k
    data.write_text(json.dumps(file))
    assert sorted(c.name for c in Coco(data).categories) == ["0", "1", "2", "3"]


# ---- boxes of outlines


def drop_boxes(data: Path, outline, gone=...) -> list[list[float]]:
    """Replaces each box by its outline, and returns the boxes."""
    file = json.loads(data.read_text())
    boxes = [a["bbox"] for a in file["annotations"]]
    sizes = {i["id"]: (i["height"], i["width"]) for i in file["images"]}
    for a in file["annotations"]:
        a["segmentation"] = outline(a["bbox"], sizes[a["image_id"]])
        if gone is ...:
            del a["bbox"]
        else:
            a["bbox"] = gone
    data.write_text(json.dumps(file))
    return boxes


def polygons(box, size):
    """Two triangles that cover the box together."""
    x, y, w, h = box
    return [[x, y, x + w, y, x, y + h / 2], [x, y + h, x + w, y + h, x + w, y + h / 2]]


def painted(box, size) -> np.ndarray:
    """The mask of a box."""
    x, y, w, h = box
    pixels = np.zeros(size, np.uint8, order="F")
    pixels[y : y + h, x : x + w] = 1
    return pixels


def run_lengths(box, size):
    """The mask of a box as a list of run lengths, column by column."""
    counts, last = [0], 0
    for bit in painted(box, size).ravel(order="F").tolist():
        if bit == last:
            counts[-1] += 1
        else:
            counts.append(1)
        last = bit
    return {"size": list(size), "counts": counts}


def compressed(box, size):
    """The mask of a box as COCO's compressed text."""
    return {"size": list(size), "counts": mask.encode(painted(box, size))["counts"].decode()}


@pytest.mark.parametrize("outline", [polygons, run_lengths, compressed])
@pytest.mark.parametrize("gone", [..., None, []])
def test_an_outline_gives_its_box(data, capsys, outline, gone):
    boxes = drop_boxes(data, outline, gone)
    assert Coco(data).instances.boxes.tolist() == boxes
    assert main(["check", str(data), "--fix-to", str(data.with_name("fixed.json"))]) == 0
    assert "get that of their outline" in capsys.readouterr().out
    fixed = json.loads(data.with_name("fixed.json").read_text())["annotations"]
    assert [a["bbox"] for a in fixed] == boxes and all(a["segmentation"] for a in fixed)


def test_boxes_that_are_there_are_not_replaced(data):
    file = json.loads(data.read_text())
    expected = [a["bbox"] for a in file["annotations"]]
    for a in file["annotations"]:
        a["segmentation"] = [[0, 0, 3, 0, 3, 3]]
    del file["annotations"][5]["bbox"]
    expected[5] = [0, 0, 3, 3]
    data.write_text(json.dumps(file))
    assert Coco(data).instances.boxes.tolist() == expected


@pytest.mark.parametrize(
    "outline",
    [None, [], [[]], [[1, 2, 3]], [[1, "2", 3, 4]], [[1, 2, 1, 5]], {}, {"size": [3, 4]}, "0", 5, [1, [2]]]
    + [{"size": [3, 4], "counts": c} for c in ([], [5], [13, -1], [True, 11], ["a"], "", "o", "0o", "\0", "é")]
    + [{"size": s, "counts": [0, 12]} for s in ([3], [3, 5], [0, 12], [12.0, 1], [10**9, 1], None)],
)
def test_an_outline_that_is_damaged_gives_no_box(outline):
    assert box_of(outline) is None


def test_without_the_decoder_of_masks_only_a_mask_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    assert box_of(None) is None and box_of({"size": [3, 4], "counts": [5]}) is None
    assert box_of([[1, 2, 5, 2, 5, 7]]) == [1, 2, 4, 5]
    with pytest.raises(UserError, match="pip install pycocotools"):
        box_of({"size": [3, 4], "counts": [0, 12]})


def test_random_texts_as_masks_are_survived():
    rng = default_rng(0)
    for _ in range(2000):
        text = bytes(rng.integers(48, 112, rng.integers(1, 20)).tolist()).decode()
        box = box_of({"size": rng.integers(1, 50, 2).tolist(), "counts": text})
        assert box is None or len(box) == 4


# ---- Roboflow's class that groups the others


def group(file: dict, name: str, id: int = 90) -> None:
    """Adds a class that groups the others, as Roboflow writes it (with id 0 there)."""
    file["categories"] = [{"id": id, "name": name, "supercategory": "none"}] + [
        c | {"supercategory": name} for c in file["categories"]
    ]


@pytest.mark.parametrize("name", ["cards", "cat"])
def test_a_class_that_only_groups_the_others_is_left_out(data, capsys, name):
    """Also if a class has its name."""
    names = [c.name for c in Coco(data).categories]
    file = json.loads(data.read_text())
    group(file, name)
    data.write_text(json.dumps(file))
    read = Coco(data)
    assert [c.name for c in read.categories] == names and "only groups the others" in read.instances.note
    assert main(["check", str(data)]) == 0 and f"category 90 '{name}' only groups" in capsys.readouterr().out


def test_a_class_with_a_box_is_no_group(data):
    file = json.loads(data.read_text())
    group(file, "cards")
    file["annotations"][0]["category_id"] = 90
    data.write_text(json.dumps(file))
    assert "cards" in [c.name for c in Coco(data).categories]


def test_a_class_of_its_own_kind_is_no_group(data):
    """A class without boxes whose supercategory is another is a class without boxes."""
    file = json.loads(data.read_text())
    group(file, "cards")
    file["categories"][1]["supercategory"] = "thing"
    data.write_text(json.dumps(file))
    assert "cards" in [c.name for c in Coco(data).categories]


# ---- names of files


def folder_of(root: Path, *names: str) -> ImageFolder:
    """A folder with these files."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(root / name, format="PNG")
    return ImageFolder(root)


@pytest.mark.parametrize(
    "files, name, found",
    [
        (["x.png"], "images/x.png", "x.png"),
        (["x.png"], "some/Images/x.png", "x.png"),
        (["x.png"], "other/x.png", None),
        (["x.png"], "images/other/x.png", None),
        (["x.png"], "/home/me/other/x.png", "x.png"),
        (["x.png"], "D:\\other\\x.png", "x.png"),
        (["a/x.png", "b/x.png"], "x.png", None),
        (["a/x.png", "b/x.png"], "c/x.png", None),
        (["a/x.png", "b/x.png"], "/data/b/x.png", "b/x.png"),
        (["a/x.png"], "c/x.png", None),
        (["x.PNG", "a/x.png"], "x.Png", "x.PNG"),
        (["X.png", "x.PNG"], "x.png", None),
        (["a/x.png", "x.png"], "images/a/x.png", "a/x.png"),
        (["a b.png"], "a%20b.png", "a b.png"),
        (["a%20b.png"], "A%20b.png", "a%20b.png"),
        (["x.png"], "../../x.png", "x.png"),
        (["x.png"], "http://[/x.png", "x.png"),
        (["x.png"], "http://x.org/a/b%2Fx.png?x.png#/y.png", "x.png"),
        (["x.png"], "y.png", None),
        (["x.png"], "", None),
        (["x.png"], ".", None),
    ],
)
def test_a_name_means_one_file_or_none(tmp_path, files, name, found):
    assert folder_of(tmp_path / "images", *files).find(name) == found


def test_two_records_never_get_the_same_file(data):
    """Of two cameras with equal names only one folder is there."""
    file = json.loads(data.read_text())
    file["images"][1]["file_name"], file["images"][3]["file_name"] = "left/1.png", "right/1.png"
    data.write_text(json.dumps(file))
    with pytest.raises(UserError, match=r"2 of 4 are missing"):
        Coco(data)


def test_a_link_out_of_the_folder_is_not_found(tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png")
    (tmp_path / "in" / "x.png").symlink_to(tmp_path / "x.png")
    assert ImageFolder(tmp_path / "in").find("X.png") is None


def test_the_nearest_file_is_named(tmp_path):
    folder = folder_of(tmp_path, "IMG_2381.jpeg", "a/other.png")
    assert "(the nearest there is 'IMG_2381.jpeg')" in folder.fault("IMG_2381.jpg")[1]
    assert "(the nearest there is 'a/other.png')" in folder.fault("b/other.png")[1]
    assert "nearest there" not in folder.fault("unlike.png")[1]


# ---- whatever else is written


@pytest.mark.parametrize("seed", range(4))
def test_several_ways_at_once_are_read_the_same(data, seed):
    """50 random mixtures of the ways above."""
    rng, sound, file, ways = default_rng(seed), Coco(data).truth(), json.loads(data.read_text()), list(SAME.values())
    for _ in range(50):
        mixed = copy.deepcopy(file)
        for way in rng.permutation(len(ways))[: rng.integers(1, 4)]:
            try:
                ways[way](mixed)
            except (ValueError, TypeError, AttributeError):
                continue  # two ways for one field
        data.write_text(json.dumps(mixed))
        try:
            read = Coco(data)
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 600
            continue
        assert read.truth() == sound
    assert check.examine(check.open_case(data)).path == data
