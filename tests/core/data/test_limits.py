"""Settings are compared with the data: queries, image size, classes, boxes without area, COCO's 100 detections."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from PIL import Image

from core.data import check
from core.data.coco.dataset import Coco
from core.data.coco.instances import read_instances
from core.data.coco.limits import (
    MAX_DETECTIONS,
    QUERIES,
    RECIPES,
    TINY,
    Objects,
    Settings,
    exceeded,
    run_settings,
    scales,
    suggested_queries,
    suggested_size,
    trained_sizes,
)
from core.data.sample import Sample
from core.data.transforms import Augment, eval_transform, resized_size
from core.detectors import adamixer
from core.errors import UserError
from core.runs.checkpoint import save_detector
from core.runs.config import encode
from core.runs.diagnose.data_limits import data_findings
from train.__main__ import main
from train.job.auto import enlarged, fitted_to_data
from train.job.build import data_limits, starting_point
from train.recipes.own_data import coco
from train.run import Data

NAMES = ("cell", "platelet", "dust")


def write_cells(folder: Path, images: int, cells: int, *, side: int = 60, small: int = 12, size=(480, 640)) -> Path:
    """Writes a file of images with `cells` boxes each: all of `side` pixels but each third, which has `small` ones."""
    rng = default_rng(images + cells)
    (folder / "images").mkdir(parents=True)
    file = {"images": [], "annotations": [], "categories": [{"id": k, "name": n} for k, n in enumerate(NAMES[:2])]}
    for k in range(images):
        Image.new("RGB", size[::-1], (k, cells, 0)).save(folder / "images" / f"{folder.name}{k}.png")
        file["images"].append({"id": k, "file_name": f"{folder.name}{k}.png", "height": size[0], "width": size[1]})
        for j in range(cells):
            label = int(j % 3 == 2)
            width = (side, small)[label]
            x, y = rng.integers(0, size[1] - width), rng.integers(0, size[0] - width)
            box = [int(x), int(y), width, width]
            file["annotations"].append({"id": 1000 * k + j, "image_id": k, "category_id": label, "bbox": box})
    path = folder / "instances.json"
    path.write_text(json.dumps(file))
    return path


def kinds(path: Path, settings: Settings = RECIPES, **more) -> dict[str, str]:
    """The sentence of each kind of limit that a file exceeds."""
    return {x.kind: str(x) for x in exceeded("FILE", read_instances(path), settings, **more)}


def test_the_settings_of_the_recipes_are_those_of_the_recipes():
    assert run_settings(encode(coco.run())) == RECIPES


def test_a_file_within_all_limits(tmp_path, capsys):
    path = write_cells(tmp_path / "a", 3, 30, small=60)
    assert kinds(path) == {}
    assert main(["check", str(path), "--allow", "same-picture"]) == 0 and "Beyond" not in capsys.readouterr().out


@pytest.mark.parametrize("cells, exceeds", [(30, False), (31, True)])
def test_more_objects_than_queries(tmp_path, cells, exceeds):
    path = write_cells(tmp_path / "a", 3, cells, small=60)
    assert ("queries" in kinds(path)) == exceeds and ("queries" in kinds(path, replace(RECIPES, queries=31))) is False
    if exceeds:
        text = kinds(path)["queries"]
        assert "3 of 3 images of FILE have more objects, up to 31, than the 30 queries" in text
        assert text.endswith("set --student.queries 50")


def test_crowd_regions_need_no_queries(tmp_path):
    path = write_cells(tmp_path / "a", 2, 31, small=60)
    file = json.loads(path.read_text())
    file["annotations"][0]["iscrowd"] = file["annotations"][31]["iscrowd"] = 1
    path.write_text(json.dumps(file))
    assert kinds(path) == {}


@pytest.mark.parametrize("most", [1, 27, 28, 45, 46, 90, 91, 450, 455, 900, 1000])
def test_the_suggested_queries_hold_every_object(tmp_path, most):
    objects = Objects(read_instances(write_cells(tmp_path / "a", 1, most)))
    assert suggested_queries(objects) >= most * 1.1 - 1e-9
    smaller = [n for n in QUERIES if n < suggested_queries(objects)]
    assert all(n < most * 1.1 for n in smaller), "and no larger than needed"


@pytest.mark.parametrize("seed", range(4))
def test_the_tiny_share_is_counted(tmp_path, seed):
    """Against a loop over boxes and the loader's own sizes."""
    rng = default_rng(seed)
    size = tuple(rng.integers(300, 900, 2).tolist())
    path = write_cells(tmp_path / "a", 3, 9, side=150, size=size)
    file = json.loads(path.read_text())
    for a in file["annotations"]:
        if a["category_id"] == 1:
            a["bbox"][2:] = rng.integers(8, 120, 2).tolist()
    path.write_text(json.dumps(file))
    settings = Settings(30, int(rng.integers(96, 300)), int(rng.integers(300, 500)), 4)
    height, width = resized_size(size, settings.short, settings.longest)
    tiny = {name: [] for name in NAMES[:2]}
    for a in file["annotations"]:
        x, y, w, h = a["bbox"]
        w, h = min(x + w, size[1]) - x, min(y + h, size[0]) - y
        tiny[NAMES[a["category_id"]]].append(math.sqrt(w * h * height / size[0] * width / size[1]) < TINY)
    shares = {name: np.mean(values) for name, values in tiny.items()}
    said = kinds(path, settings).get("tiny", "")
    for name, share in shares.items():
        assert (f"{share:.0%} of '{name}'" in said) == (share > 0.5), (shares, said)


def test_small_boxes_name_the_class_and_a_size_that_helps(tmp_path):
    path = write_cells(tmp_path / "a", 4, 30)
    text = kinds(path)["tiny"]
    assert "under 16 pixels when images are trained at 144 to 192 pixels: 100% of 'platelet'" in text
    assert "cell" not in text.split(":")[1]
    short, longest = suggested_size(Objects(read_instances(path)), RECIPES)
    assert f"set --data.augment.sizes {short} --data.augment.longest {longest}" in text
    assert short % 32 == 0 and 640 <= short <= 672, "12 of 480 pixels are 16 of 640"
    assert "tiny" not in kinds(path, replace(RECIPES, short=short, longest=longest))


@pytest.mark.parametrize("short, longest", [(144, 192), (300, 200), (None, 500), (None, 2000)])
@pytest.mark.parametrize("square", [False, True])
def test_boxes_grow_as_the_images_of_training(short, longest, square):
    """Within what is rounded."""
    augment = Augment(sizes=(short,) * bool(short), longest=longest, square=square)
    settings = run_settings(encode(replace(coco.run(), data=Data(augment=augment))))
    assert settings.short == augment.eval_short and settings.square is square
    for size in ((480, 640), (700, 300)):
        sample = Sample(torch.zeros(3, *size, dtype=torch.uint8), torch.zeros(0, 4), torch.zeros(0, dtype=int), 1, size)
        seen = eval_transform(sample, augment).size
        sizes = np.array([size])
        assert np.allclose(trained_sizes(sizes, settings), [seen], atol=1)
        assert scales(sizes, settings)[0] == pytest.approx(math.sqrt(math.prod(seen) / math.prod(size)), rel=0.01)


def test_squares_of_another_side_are_suggested(tmp_path):
    path, squares = write_cells(tmp_path / "a", 4, 30), replace(RECIPES, square=True)
    text = kinds(path, squares)["tiny"]
    assert "when images are trained at squares of 144 pixels: " in text and "100% of 'platelet'" in text
    short, longest = suggested_size(Objects(read_instances(path)), squares)
    assert short == longest and short % 32 == 0 and 739 <= short <= 768, "12 of 554 = sqrt(480 * 640) are 16 of 739"
    assert "tiny" not in kinds(path, replace(squares, short=short, longest=longest))
    grown = enlarged(Augment(sizes=(120, 144, 168), eval_size=144, square=True), short, longest)
    assert grown.eval_short == short and grown.longest == max(grown.sizes) == round(short * 168 / 144)


def test_a_coarse_detector_needs_larger_boxes(tmp_path):
    path = write_cells(tmp_path / "a", 2, 9, small=90)
    assert "tiny" not in kinds(path) and "under 32 pixels" in kinds(path, replace(RECIPES, stride=32))["tiny"]


def test_no_size_is_suggested_beyond_what_is_usual(tmp_path):
    path = write_cells(tmp_path / "a", 2, 9, small=1)
    assert max(suggested_size(Objects(read_instances(path)), RECIPES)) <= 1333


@pytest.mark.parametrize("training, words", [(True, "nothing is learnt"), (False, "AP is not measured")])
def test_a_class_without_an_object(tmp_path, training, words):
    path = write_cells(tmp_path / "a", 2, 9, small=60)
    file = json.loads(path.read_text())
    file["categories"].append({"id": 9, "name": "dust"})
    file["annotations"].append({"id": 99999, "image_id": 0, "category_id": 9, "bbox": [4, 4, 0, 9]})
    path.write_text(json.dumps(file))
    found = kinds(path, training=training)
    assert (
        found.keys() == {"class", "area"} and "no object of class 'dust'" in found["class"] and words in found["class"]
    )
    assert "1 of 19 boxes of FILE have no area" in found["area"]


def test_a_file_without_objects(tmp_path):
    path = write_cells(tmp_path / "a", 2, 3)
    file = json.loads(path.read_text())
    for a in file["annotations"]:
        a["iscrowd"] = 1
    path.write_text(json.dumps(file))
    assert kinds(path).keys() == {"objects"} and "only 6 crowd regions" in kinds(path)["objects"]
    path.write_text(json.dumps(file | {"annotations": []}))
    assert "FILE has no object;" in kinds(path)["objects"]


@pytest.mark.parametrize("cells", [MAX_DETECTIONS, MAX_DETECTIONS + 1])
def test_more_objects_than_ap_counts(tmp_path, cells):
    path, settings = write_cells(tmp_path / "a", 1, cells, small=60), replace(RECIPES, queries=300)
    assert ("detections" in kinds(path, settings)) == (cells > 100)
    assert kinds(path, settings, measured=False) == {}


def run_on(folder: Path, **more):
    """The recipe `coco` on two files of cells."""
    train, val = (write_cells(folder / name, 4, 130 if name == "val" else 40, **more) for name in ("train", "val"))
    start = coco.run()
    return replace(start, data=replace(start.data, train=train, val=val))


def test_fit_and_the_doctor_name_the_same(tmp_path):
    run = run_on(tmp_path)
    train, val = Coco(run.data.train), Coco(run.data.val)
    said = data_limits(run, train, val)
    assert [x.kind for x in said] == ["queries", "tiny", "detections"]
    severe, mild = data_findings(encode(run), val)
    assert [(x.evidence, x.setting) for x in (*severe, *mild)] == [(x.text, x.setting) for x in said]
    assert len(severe) == 2 and {x.disease for x in severe} == {"data"}
    run.data.train.unlink()
    assert [x.title for x in data_findings(encode(run), val)[1]] == ["some images have more objects than AP counts"]


def test_the_check_names_them_and_finds_no_fault(tmp_path, capsys):
    run = run_on(tmp_path)
    allow = [
        "--allow",
        "same-picture",
        "look-alike",
        "--against",
        str(run.data.val),
        "--json",
        str(tmp_path / "report.json"),
    ]
    assert main(["check", str(run.data.train), *allow]) == 0
    shown = capsys.readouterr().out
    limits = json.loads((tmp_path / "report.json").read_text())["limits"]
    assert len(limits) == 3 and all(f"  {limit}" in shown for limit in limits)
    assert "Beyond the recipes coco*, with 30 queries and 144 x 192 pixels:" in shown


def test_boxes_in_another_convention_are_measured_as_what_they_are(tmp_path):
    path = write_cells(tmp_path / "a", 2, 20)
    file = json.loads(path.read_text())
    for a in file["annotations"]:
        x, y, w, h = a["bbox"]
        a["bbox"] = [x, y, x + w, y + h]
    path.write_text(json.dumps(file))
    (limit,) = check.examine(check.open_case(path)).limits
    assert "100% of 'platelet'" in limit


def test_auto_takes_what_is_suggested(tmp_path):
    run = run_on(tmp_path)
    new = fitted_to_data(run)
    assert new.student.queries == 50 and new.data.augment.sizes[-1] == max(new.data.augment.sizes) >= 640
    assert len(new.data.augment.sizes) == len(run.data.augment.sizes)
    assert [x.kind for x in data_limits(new, Coco(run.data.train), Coco(run.data.val))] == ["detections"]
    assert fitted_to_data(new) == new and fitted_to_data(replace(run, data=Data())) == replace(run, data=Data())


def test_auto_gives_a_pretrained_detector_the_queries_it_lacks(tmp_path):
    run = run_on(tmp_path)
    config = adamixer.Config(classes=3, backbone="tiny8x1", width=32, layers=1, strides=(8,), queries=40)
    file = tmp_path / "pretrained.safetensors"
    for own, asked in ((20, 50), (60, None)):
        save_detector(file, adamixer.Model(replace(config, queries=own)), {"categories": [{"id": 1, "name": "red"}]})
        new = fitted_to_data(replace(run, init=str(file)))
        assert new.init_queries == asked and new.student == run.student
        started = starting_point(new)
        assert started is not None and started.detector.config.queries == max(own, asked or 0)


# ---- class ids that mean other names in the other split


def write_classes(folder: Path, classes: dict[int, str], labels: list[int]) -> Path:
    """Writes a file with these classes and a box for each of the class ids `labels`."""
    path = write_cells(folder, 1, len(labels))
    file = json.loads(path.read_text())
    for a, id in zip(file["annotations"], labels):
        a["category_id"] = id
    file["categories"] = [{"id": id, "name": name} for id, name in classes.items()]
    path.write_text(json.dumps(file))
    return path


@pytest.mark.parametrize(
    "classes, labels",
    [({1: "cat", 2: "ant", 3: "bee"}, [1, 2, 3]), ({0: "ant", 1: "bee", 2: "cat"}, [2, 0, 1]), ({9: "bee"}, [9])],
)
def test_class_ids_that_mean_other_names_are_matched_by_name(tmp_path, classes, labels):
    train = Coco(write_classes(tmp_path / "train", {1: "ant", 2: "bee", 3: "cat"}, [1, 2, 3]))
    val = Coco(write_classes(tmp_path / "val", classes, labels))
    read = val.relabelled(train.categories, "TRAIN")
    names = [classes[id] for id in labels]
    assert [train.categories[k].name for k in read[0].labels.tolist()] == names and read.categories == train.categories
    by_id = {c["id"]: c["name"] for c in read.truth()["categories"]}
    assert [by_id[a["category_id"]] for a in read.truth()["annotations"]] == names
    assert "matched by name" in read.instances.note and val.instances.note == ""
    assert train.relabelled(train.categories, "TRAIN").instances.note == ""


def test_classes_that_are_unknown_are_refused_unless_they_are_not_used(tmp_path):
    train = Coco(write_classes(tmp_path / "train", {1: "ant", 2: "bee"}, [1, 2]))
    val = Coco(write_classes(tmp_path / "val", {1: "ant", 5: "Bee"}, [1, 5]))
    with pytest.raises(UserError, match=r"TRAIN knows the classes ant, bee, but .*val.* has Bee too"):
        val.relabelled(train.categories, "TRAIN")
    unused = Coco(write_classes(tmp_path / "unused", {1: "wasp", 5: "bee"}, [5]))
    assert unused.relabelled(train.categories, "TRAIN")[0].labels.tolist() == [1]
