"""Which runs can be opened, which are, and that detectors are shared."""

import json
import os
import shutil
from pathlib import Path

import pytest

from analysis.bench._random_runs import random_run
from app.worker import library
from app.worker.library import Detectors, Source
from core.errors import UserError
from tests.helpers import opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return random_run(tmp_path_factory.mktemp("taught"), queries=8, layers=2, size=64, images=2)


@pytest.fixture
def here(tmp_path, monkeypatch, folder) -> Path:
    """An empty current folder, with no runs but those that a test puts there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(library, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(library, "FRESH", 0.0)
    return tmp_path


def placed(folder: Path, where: Path, age: float) -> Path:
    shutil.copytree(folder, where)
    os.utime(where / "student.safetensors", (1e9 - age, 1e9 - age))
    return where


def test_the_run_that_was_written_to_last_is_shown_first(here, folder):
    nothing = opened.Library([], opened.ForwardQueue(opened.Cache(1)))
    with pytest.raises(UserError, match="make demo"):
        nothing.first()
    placed(folder, here / "shipped" / "ready", 50)
    assert nothing.first() == "shipped/ready"
    for age, name in ((300, "old"), (100, "deep/new"), (200, "older")):
        placed(folder, here / "runs" / name, age)
    (here / "runs" / "begun").mkdir()
    (here / "runs" / "begun" / "card.json").write_text("{}")
    assert nothing.first() == "runs/deep/new"
    found = {row["id"]: row["lacks"] for row in nothing.listing()}
    assert list(found)[:3] == ["runs/deep/new", "runs/older", "runs/old"] or "runs/begun" in list(found)[:1]
    assert found["runs/begun"] and not found["runs/old"] and found.keys() >= {"shipped/ready"}


@pytest.mark.parametrize("entry", [{"teacher": "runs/t"}, {"run": {"student": {"config": None}}}, {"run": []}])
def test_a_card_of_another_shape_does_not_hide_the_other_runs(here, folder, entry):
    run = placed(folder, here / "runs" / "odd", 0)
    (run / "card.json").write_text(json.dumps(json.loads((run / "card.json").read_text()) | entry))
    placed(folder, here / "runs" / "good", 9)
    lacks = {row["id"]: row["lacks"] for row in opened.handlers(folder).library.listing()}
    assert lacks["runs/odd"] == "its card.json is not that of a run" and lacks["runs/good"] == ""


@pytest.mark.parametrize("spoil", ["card.json", "student.safetensors", "losses.safetensors", "teacher.safetensors"])
@pytest.mark.parametrize("how", ["gone", "cut", "nonsense"])
def test_a_run_that_is_half_written_is_told_in_one_sentence(here, folder, spoil, how):
    run = placed(folder, here / "runs" / "half", 0)
    data = (run / spoil).read_bytes()
    (run / spoil).unlink()
    if how != "gone":
        (run / spoil).write_bytes(data[: len(data) // 2] if how == "cut" else b"\x00nonsense")
    handlers = opened.handlers(run)
    with pytest.raises(UserError) as told:
        handlers.scene("image/1")
    assert "\n" not in str(told.value) and "half" in str(told.value)
    assert handlers.runs()["runs"]  # the list still works


def test_no_name_becomes_a_path(here, folder):
    handlers = opened.handlers(folder)
    placed(folder, here / "elsewhere", 0)
    for name in ("elsewhere", "./runs", "/", "../", str(here / "elsewhere"), "runs/../elsewhere"):
        with pytest.raises(UserError, match="no run"):
            handlers.about(name)


def test_few_runs_are_open_at_once_and_one_detector_for_a_file(here, folder, monkeypatch):
    monkeypatch.setattr(library, "OPEN", 2)
    runs = [placed(folder, here / "runs" / name, age) for age, name in enumerate("abc")]
    handlers = opened.handlers(*runs)
    distillers = [handlers.samples(f"runs/{name}").run.distiller for name in "abc"]
    assert len(handlers.library.open) == 2
    assert distillers[0].teacher is distillers[1].teacher is distillers[2].teacher
    assert distillers[0].student is distillers[2].student is not distillers[0].teacher


def test_a_detector_that_nobody_uses_is_let_go(folder):
    detectors = Detectors()
    found = [detectors.load(folder / "student.safetensors")[0]]
    assert len(detectors.loaded) == 1
    found.clear()
    assert len(detectors.loaded) == 0


def test_new_weights_are_opened_anew(here, folder):
    run = placed(folder, here / "runs" / "grows", 0)
    handlers = opened.handlers(run)
    before = handlers.samples("")
    assert handlers.samples("") is before
    os.utime(run / "student.safetensors", (2e9, 2e9))
    assert handlers.samples("") is not before


def test_a_student_meets_any_teacher_and_a_file_stands_alone(here, folder, tmp_path_factory):
    other = random_run(tmp_path_factory.mktemp("other"), queries=6, layers=3, size=64, images=2, seed=5)
    pair = opened.handlers(folder, teacher=other / "student.safetensors")
    scene, about = pair.scene("image/1"), pair.about()
    assert {"positive", "negative"} <= {line["id"] for line in scene["lines"]}
    assert (about["teacher"]["layers"], about["student"]["layers"], about["teacher"]["ap"]) == (3, 2, None)
    assert Source(folder, other).id.endswith(f"under {other}")
    alone = opened.handlers(folder / "teacher.safetensors")
    assert [g["id"] for g in alone.scene("image/2")["groups"]] == ["student", "truth"]


def test_a_second_student_of_other_classes_is_refused(here, folder, tmp_path_factory):
    import json

    other = shutil.copytree(folder, tmp_path_factory.mktemp("cats") / "run")
    card = json.loads((other / "card.json").read_text())
    file = other / "instances.json"
    names = [{"id": k, "name": f"cat {k}"} for k in range(1, 9)]
    image = {"id": 1, "file_name": "a.png", "width": 8, "height": 8}
    file.write_text(json.dumps({"images": [image], "annotations": [], "categories": names}))
    (other / "a.png").write_bytes(b"")
    card["categories"] = names
    card["run"]["data"] |= {"kind": "coco", "val": str(file), "images": str(other), "val_limit": None}
    (other / "card.json").write_text(json.dumps(card))
    handlers = opened.handlers(folder, other)
    with pytest.raises(UserError, match="other classes"):
        handlers.scene("image/1", compare=str(other))
