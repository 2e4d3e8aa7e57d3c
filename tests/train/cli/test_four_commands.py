"""From a file of others to a student that was distilled from it, measured and exported, in four commands."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from core.convert.read import read_weights
from core.convert.to_detector import convert
from core.data.transforms import Augment
from core.errors import UserError
from core.metrics.coco_ap import NUMBERS
from core.runs.checkpoint import load_detector, open_distiller, save_detector
from core.runs.config import encode
from core.runs.open import open_run, replay
from tests.core.convert.test_convert import run_command
from tests.core.data import test_layouts
from tests.helpers import foreign
from tests.helpers.coco_folder import picture, write_folder
from train.run import Data
from train.score_table import percent

DISTIL = [f"--losses.{name}.weight=1" for name in ("logits", "features", "prior")]
STUDENT = {  # a recipe's student made as small as the teacher, or the teacher's own architecture, started anew
    "adamixer": "coco_distill --init None --student.frozen 0 --student.backbone resnet18 --student.width 64"
    " --student.layers 3 --student.heads 4 --student.points 4 --student.mixed-points 6 --student.feedforward 48",
    "conditional": "--card runs/theirs/card.json --student.queries 6",
    "deformable refine": "--card runs/theirs/card.json --student.encoder-layers 1",
}


@pytest.mark.parametrize("case", STUDENT)
def test_from_a_released_file_to_an_exported_student(case, here, capsys):
    """Its classes by id in the file's 91 rows, or by the names that MMDetection notes."""
    photos = write_folder(here / "photos")
    rows = 4 if case == "adamixer" else 91
    model = foreign.source_detector(case, classes=rows)
    path = foreign.write_pth(here / "theirs.pth", case, model)
    if case == "adamixer":
        held = torch.load(path, weights_only=False)
        held["meta"]["CLASSES"] = ("dog", "bird", "cat", "none")
        torch.save(held, path)
    data = ["--data.train", photos, "--data.val", photos, "--data.augment.sizes", "64", "--data.augment.longest", "96"]
    form = "safetensors" if case == "adamixer" else "hf"

    assert run_command("import", path, "--classes", photos, "--out", "runs/theirs") == 0
    assert run_command("fit", *STUDENT[case].split(), "--name", "ours", "--teacher", "runs/theirs", *data, *DISTIL) == 0
    capsys.readouterr()
    assert run_command("eval", "runs/ours") == 0
    scores = capsys.readouterr().out
    assert run_command("export", "runs/ours", "--to", form, "--out", "student") == 0

    student, card = load_detector(Path("runs/ours/student.safetensors"))
    assert [c["id"] for c in card["categories"]] == [0, 7, 90]
    shown = dict(line.split() for line in scores.splitlines()[:6])
    assert {k.lower(): v for k, v in shown.items()} == {k: percent(card["scores"][k]).strip() for k in NUMBERS}
    step, _ = open_distiller(Path("runs/ours"))
    assert set(step.losses) == {"detection", "logits", "features", "prior"}
    assert same(step.teacher, load_detector(Path("runs/theirs/student.safetensors"))[0]), "the teacher was not trained"
    taken = load_detector(Path("student/student.safetensors"))[0] if form == "safetensors" else reread(Path("student"))
    assert taken.config == student.config and same(taken, student)


def reread(folder: Path):
    return convert(read_weights(folder)).detector


def same(a, b) -> bool:
    theirs = b.state_dict()
    return all(torch.equal(x, theirs[name]) for name, x in a.state_dict().items())


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("yolo", "voc")]


@pytest.mark.parametrize("layout", ["roboflow", *SLOW])
def test_the_four_commands_from_a_folder_as_it_was_downloaded(layout, here, capsys):
    """No step lies between the download and the training: each command is that of the README with `--data FOLDER`."""
    getattr(test_layouts, layout)(here / "my", test_layouts.sources(here / "source"))
    data = ["--data", "my", "--size", "64"]
    assert run_command("fit", "coco_teacher", *data) == 0
    assert run_command("fit", "coco_distill", "--teacher", "runs/coco_teacher", *data) == 0
    assert run_command("eval", "runs/coco_distill") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "look at it with: python -m app runs/coco_distill"
    run = open_run(Path("runs/coco_distill"))
    assert replay(run, run.data[0]).total.isfinite()


def test_the_four_commands_of_few_labels(here, capsys):
    """Those of docs/unlabelled.md: a folder of photos, some of which have labels, is all that is there."""
    labelled = write_folder(here / "photos")
    for seed in range(4):
        Image.fromarray(picture(seed)).save(here / "photos" / "images" / f"more{seed}.png")
    data = [
        "--data.train",
        labelled,
        "--data.val",
        labelled,
        "--data.images",
        here / "photos" / "images",
        "--size",
        "64",
    ]
    unlabelled = ["--data.unlabelled", here / "photos" / "images"]
    assert run_command("fit", "coco_teacher", *data) == 0
    assert run_command("fit", "few_labels", "--teacher", "runs/coco_teacher", *data, *unlabelled) == 0
    said = capsys.readouterr().out
    assert (
        "7 training images, 3 with labels and 4 without" in said
        and "pseudo    predictions of a score of at least 0.4" in said
    )
    assert run_command("eval", "runs/few_labels") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "look at it with: python -m app runs/few_labels"
    run = open_run(Path("runs/few_labels"))
    assert replay(run, run.data[0]).total.isfinite() and (here / "runs" / "few_labels_store").is_dir()
    for recipe in ("cheap", "best"):  # neither needs photos without labels
        assert run_command("fit", recipe, "--teacher", "runs/coco_teacher", *data) == 0
        run = open_run(Path("runs") / recipe)
        assert replay(run, run.data[0]).total.isfinite() and (here / "runs" / f"{recipe}_store").is_dir()


def test_an_imported_detector_is_measured(here, capsys):
    """Without a step of training, on data that is named; the next command is the app's, with the data."""
    photos = write_folder(here / "photos")
    model = foreign.source_detector("conditional", classes=3)
    card = {"categories": [{"id": k, "name": name} for k, name in enumerate(("none", "dog", "cat"))]}
    save_detector(here / "ours.safetensors", model, card | {"data": encode(Data(augment=Augment(sizes=(64,))))})
    assert run_command("export", "ours.safetensors", "--to", "hf", "--out", "theirs") == 0
    assert run_command("import", "theirs", "--out", "run") == 0
    assert run_command("eval", "run") == 2
    assert "give --data INSTANCES.json --images FOLDER" in capsys.readouterr().err
    assert run_command("eval", "run", "--data", photos) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == f"look at it with: python -m app run --data {photos}" and "cat" in shown[-2]
    run = open_run(Path("run"), photos)
    assert replay(run, run.data[0]).total.isfinite()
    with pytest.raises(UserError, match="does not say which images"):
        open_run(Path("run"))
