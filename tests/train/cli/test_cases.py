"""The folders and files that people brought, by the number of the case: each ends right, as a user would try it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from PIL import Image

from core.data.coco.dataset import Coco
from core.runs.checkpoint import load_detector
from tests.core.convert.test_convert import run_command
from tests.core.data import test_layouts, test_limits, test_photos
from tests.core.data.test_corrections import both, each
from tests.helpers import foreign, mutators
from tests.helpers.coco_folder import write_folder


def two_files(here: Path, spoil) -> tuple[Path, Path]:
    """A sound file, and beside it the same after `spoil`."""
    sound = mutators.write_sound(here / "data", default_rng(0))
    file = json.loads(sound.read_text())
    spoil(file)
    spoilt = sound.with_name("spoilt.json")
    spoilt.write_text(json.dumps(file))
    return sound, spoilt


def check_same(here: Path, spoil, *, says: str, capsys) -> None:
    """Checks that a file is read as the sound one, that `check` says so, and that its repair loses nothing."""
    sound, spoilt = two_files(here, spoil)
    assert Coco(spoilt).truth()["annotations"] == Coco(sound).truth()["annotations"]
    repaired = sound.with_name("fixed.json")
    assert run_command("check", spoilt, "--allow", "look-alike", "--fix-to", repaired) == 0
    assert says in capsys.readouterr().out
    lengths = [{k: len(v) for k, v in json.loads(path.read_text()).items()} for path in (sound, repaired)]
    assert lengths[0] == lengths[1]


def test_case_01_category_ids_as_text(here, capsys):
    spoil = both(
        each("annotations", "category_id", str),
        each("annotations", "iscrowd", float),
        each("categories", "supercategory", lambda x: None),
    )
    check_same(here, spoil, says="category_id", capsys=capsys)


def test_case_02_photos_declared_as_stored_with_upright_boxes(here, capsys):
    path, right = test_photos.write_phone(here / "phone", upright_boxes=True, declared="stored")
    path.with_name("right.json").write_text(json.dumps(right))
    assert Coco(path).truth() == Coco(path.with_name("right.json")).truth()
    assert run_command("check", path, "--allow", "look-alike", "--fix-to", "fixed.json") == 0
    assert json.loads(Path("fixed.json").read_text()) == right and "EXIF" in capsys.readouterr().out


@pytest.mark.parametrize(
    "spoil",
    [
        each("annotations", "image_id", str),
        both(each("images", "id", str), each("annotations", "image_id", str)),
        both(each("images", "id", "IMG_{}".format), each("annotations", "image_id", "IMG_{}".format)),
    ],
)
def test_case_04_image_ids_as_text(here, capsys, spoil):
    sound, spoilt = two_files(here, spoil)
    boxes = [[Coco(path)[k].boxes.tolist() for k in range(4)] for path in (sound, spoilt)]
    assert boxes[0] == boxes[1]
    assert run_command("check", spoilt, "--allow", "look-alike", "--fix-to", "fixed.json") == 0
    assert len(json.loads(Path("fixed.json").read_text())["annotations"]) == 16


def test_case_06_the_folder_of_roboflow_trains_as_it_is(here, capsys):
    test_layouts.roboflow(here / "download", test_layouts.sources(here / "source"))
    assert run_command("fit", "coco", "--data", "download", "--size", "64") == 0
    card = json.loads(Path("runs/coco/card.json").read_text())
    assert sorted(c["name"] for c in card["categories"]) == sorted(mutators.NAMES.values()), "the group is no class"


def test_case_07_outlines_without_boxes(here, capsys):
    def without_boxes(file: dict) -> None:
        for a in file["annotations"]:
            del a["bbox"]

    check_same(here, without_boxes, says="outline", capsys=capsys)


def test_case_08_more_objects_than_queries(here, capsys):
    cells = test_limits.write_cells(here / "cells", 2, 450)
    assert run_command("check", cells, "--allow", "look-alike") == 0
    assert "450" in capsys.readouterr().out
    assert run_command("fit", "coco", "--data.train", cells, "--data.val", cells, "--size", "64") == 0
    said = capsys.readouterr().out
    assert "450" in said and "--student.queries" in said


def test_case_09_class_ids_that_differ_between_splits(here, capsys):
    train = test_limits.write_classes(here / "train", {1: "ant", 2: "bee", 3: "cat"}, [1, 2, 3])
    turned = test_limits.write_classes(here / "turned", {1: "cat", 2: "ant", 3: "bee"}, [1, 2, 3])
    fewer = test_limits.write_classes(here / "fewer", {2: "bee"}, [2, 2])
    for name, val in (("turned", turned), ("fewer", fewer)):
        fit = ("fit", "coco", "--data.train", train, "--data.val", val, "--name", name, "--size", "64")
        assert run_command(*fit) == 0
        assert "matched by name" in capsys.readouterr().out
        assert run_command("eval", f"runs/{name}", "--data", val) == 0


@pytest.mark.parametrize("case", ["the folder's own name", "case of the ending", "URLs"])
def test_case_11_file_names(here, capsys, case):
    change = {
        "the folder's own name": "images/{}".format,
        "case of the ending": lambda name: name.replace(".png", ".PNG"),
        "URLs": lambda name: f"https://storage.example.com/set%201/{name}?X-Signature=ab12",
    }[case]
    check_same(here, each("images", "file_name", change), says="file_name", capsys=capsys)


def test_case_13_a_picture_of_ten_bits_is_not_black(here):
    photos = write_folder(here / "photos")
    grey = np.linspace(0, 1020, 24 * 32).reshape(24, 32).astype(np.uint16)
    Image.fromarray(grey).save(photos.parent / "images" / "12.png")
    assert Coco(photos)[0].pixels.max() > 250 and run_command("check", photos, "--allow", "look-alike") == 0


def test_case_14_checkpoints_as_people_have_them(here, capsys):
    model = foreign.source_detector("deformable refine")
    held = foreign.released_tensors("deformable refine", model)
    content = {"model": held, "args": foreign.training_args(model)}
    variants = {
        "ddp": content | {"model": {f"module.{k}": x for k, x in held.items()}},
        "lightning": {"state_dict": {f"model.{k}": x for k, x in held.items()}, "args": content["args"]},
        "options": content | {"args": vars(content["args"])},
    }
    for name, variant in variants.items():
        torch.save(variant, here / f"{name}.pth")
        assert run_command("import", f"{name}.pth", "--out", f"runs/{name}") == 0
        detector, _ = load_detector(Path(f"runs/{name}/student.safetensors"))
        assert all(torch.equal(x, model.state_dict()[k]) for k, x in detector.state_dict().items() if "class" not in k)


def test_case_15_init_from_other_classes_and_with_other_queries(here, capsys):
    """A file of COCO's classes is fine-tuned on three, also with more queries, which a resume keeps."""
    photos = write_folder(here / "photos")
    foreign.write_pth(here / "coco.pth", "deformable refine", foreign.source_detector("deformable refine", classes=91))
    assert run_command("import", "coco.pth", "--out", "in") == 0
    data = ("--data.train", photos, "--data.val", photos, "--size", "64")
    assert run_command("fit", "coco_deformable", *data, "--init", "in", "--name", "same") == 0
    assert "in: all weights; but in the class heads 1 of 3 classes get new rows (none)" in capsys.readouterr().out
    before, _ = load_detector(Path("in/student.safetensors"))
    more = before.config.queries + 5
    assert run_command("fit", "coco_deformable", *data, "--init", "in", "--queries", more, "--name", "more") == 0
    said = f"{more} queries for {more - 5}, of which the first {more - 5} are taken and the others new"
    assert said in capsys.readouterr().out
    assert load_detector(Path("runs/more/student.safetensors"))[0].config.queries == more
    assert run_command("resume", "runs/more") == 0 and run_command("eval", "runs/more") == 0
    assert run_command("fit", "coco_deformable_distill", *data, "--teacher", "in", "--name", "taught") == 2
    assert "the teacher" in capsys.readouterr().err, "it knows none of these classes"


@pytest.mark.parametrize("layout", ["yolo", "voc"])
def test_case_17_folders_of_yolo_and_voc_train_as_they_are(here, capsys, layout):
    getattr(test_layouts, layout)(here / "data", test_layouts.sources(here / "source"))
    assert run_command("fit", "coco", "--data", "data", "--size", "64") == 0
    assert run_command("eval", "runs/coco") == 0
