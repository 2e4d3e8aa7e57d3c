"""From a folder of transformers to a distilled student that transformers opens again, as a user goes: command by command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.runs.checkpoint import load_detector
from core.types import Images
from tests.core.convert.test_convert import run_command
from tests.helpers import hub, opened
from tests.helpers.coco_folder import write_folder


@pytest.fixture
def no_estimate():
    """Leaves the estimate of the memory in, which looks into the detectors of transformers."""


FAMILIES = ("rt_detr_v2", "d_fine", "rf_detr", "detr")


@pytest.mark.parametrize("family", FAMILIES)
def test_from_a_folder_to_a_student_that_transformers_opens(family, here, capsys):
    """80 classes become the data's three; the teacher is fine-tuned, the student distilled, opened, exported, compared."""
    from transformers import AutoModelForObjectDetection

    photos = write_folder(here / "photos")
    hub.save_folder(here / "large", family, layers=3)
    hub.save_folder(here / "small", family, seed=2)
    data = [
        "--data.train",
        photos,
        "--data.val",
        photos,
        "--data.augment.sizes",
        "128",
        "--data.augment.longest",
        "128",
    ]
    assert run_command("fit", "hub_teacher", "--init", "large", *data, "--threads", "1") == 0
    said = capsys.readouterr().out
    assert "large: all weights; but in the class heads 3 of 3 classes get new rows" in said
    prior = ["--losses.prior.weight", "1", "--teacher", "runs/hub_teacher", "--threads", "1"]
    assert run_command("fit", "hub_distill", "--init", "small", *prior, *data) == 0
    assert run_command("eval", "runs/hub_distill") == 0
    capsys.readouterr()
    assert run_command("doctor", "runs/hub_distill", "--limit", "2") in (0, 1)
    page = opened.handlers(Path("runs/hub_distill"))
    key = page.gallery()["items"][0]["key"]
    assert {g["id"] for g in page.scene(key)["groups"]} >= {"student", "teacher", "prior", "truth"}
    assert page.reading(key, 0, "student", 0)["says"], "the view of sampling locations says that there are none"
    assert run_command("export", "runs/hub_distill", "--to", "hf", "--out", "student") == 0

    theirs = AutoModelForObjectDetection.from_pretrained("student", local_files_only=True).eval()
    student, card = load_detector(Path("runs/hub_distill/student.safetensors"))
    assert [theirs.config.id2label[k] for k in range(3)] == [c["name"] for c in card["categories"]]
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8))
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None]
    size = torch.tensor([[128, 128]])
    images = Images(pixels, torch.zeros(1, 128, 128, dtype=torch.bool), size, size, torch.tensor([0]))
    processor = json.loads(Path("student/preprocessor_config.json").read_text())
    values = pixels / 255
    if processor["do_normalize"]:
        mean, std = (torch.tensor(processor[x]).view(3, 1, 1) for x in ("image_mean", "image_std"))
        values = (values - mean) / std
    with torch.no_grad():
        own, out = student(images), theirs(values)
    scores = out.logits.softmax(-1)[..., :-1] if family == "detr" else out.logits.sigmoid()
    torch.testing.assert_close(own.logits[-1].sigmoid(), scores, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(own.boxes[-1], out.pred_boxes, rtol=1e-3, atol=1e-4)
    # The exported folder comes back as the same detector.
    assert run_command("import", "student", "--out", "runs/again") == 0
    again, _ = load_detector(Path("runs/again/student.safetensors"))
    with torch.no_grad():
        torch.testing.assert_close(again(images).boxes, own.boxes, rtol=1e-4, atol=1e-5)


def test_a_family_of_this_project_may_stay_that_of_transformers(here):
    hub.save_folder(here / "theirs", "conditional_detr")
    assert run_command("import", "theirs", "--as", "hub", "--out", "runs/theirs") == 0
    assert json.loads(Path("runs/theirs/card.json").read_text())["run"]["student"]["detector"] == "hub"


def test_a_native_run_is_fine_tuned_to_other_classes(here, capsys):
    """`--init RUN` takes the architecture and keeps the rows of classes with the same name."""
    photos = write_folder(here / "photos")
    tiny = "--student.backbone tiny8x1 --student.frozen 0 --student.width 32 --student.heads 4 --student.layers 2"
    tiny += " --student.queries 8 --student.points 4 --student.mixed-points 4 --student.feedforward 32 --threads 1"
    data = ["--data.train", photos, "--data.val", photos, "--data.augment.sizes", "64", "--data.augment.longest", "96"]
    assert run_command("fit", "coco", "--init", "None", "--name", "first", *tiny.split(), *data) == 0
    content = json.loads(photos.read_text())
    content["categories"][0]["name"] = "zebra"
    other = photos.with_name("other.json")
    other.write_text(json.dumps(content))
    data[1], data[3] = other, other
    capsys.readouterr()
    assert run_command("fit", "coco", "--init", "runs/first", "--name", "second", "--threads", "1", *data) == 0
    said = capsys.readouterr().out
    assert "1 of 3 classes get new rows (zebra)" in said and "its architecture replaces the recipe's" in said
    card = json.loads(Path("runs/second/card.json").read_text())
    assert card["run"]["student"]["config"]["queries"] == 8 and card["init"]["path"].endswith("student.safetensors")
