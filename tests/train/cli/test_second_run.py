"""A second run: names that are taken, and teachers that are not ready."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import UserError
from core.project import ROOT
from tests.helpers import hub, runs
from train.cli.main import main
from train.engine import loop
from train.run_folder import folder, state

TEACHER = ROOT / "assets/teacher_shapes.safetensors"


@pytest.fixture
def stopped(here):
    """A run in runs/shapes that was stopped within its second epoch of three."""
    run = replace(runs.small(), name="shapes", optim=replace(runs.small().optim, epochs=3))
    loop.fit(run, Path("runs/shapes"))
    text = Path("runs/shapes/card.json").read_text()
    Path("runs/shapes/card.json").write_text(text.replace('"epochs": 3', '"epochs": 5'))
    return here


def test_a_run_that_is_not_finished_is_offered(stopped, capsys):
    assert folder.unfinished(Path("runs/shapes")) == "epoch 3 of 5"
    capsys.readouterr()
    assert main(["fit", "shapes"]) == 2
    error = capsys.readouterr().err
    assert (
        "runs/shapes exists and is not finished (epoch 3 of 5); go on with: python -m train resume runs/shapes" in error
    )
    assert error.count("\n") == 1 and [p.name for p in Path("runs").iterdir()] == ["shapes"]
    state.path(Path("runs/shapes")).unlink()
    assert folder.unfinished(Path("runs/shapes")) == "epoch 0 of 5"


def test_a_name_that_is_finished_gets_a_number_which_is_said(here, capsys):
    assert main(["fit", "shapes"]) == 0 and folder.unfinished(Path("runs/shapes")) == ""
    assert "exists" not in capsys.readouterr().out
    assert main(["fit", "shapes"]) == 0
    assert "runs/shapes exists and is finished; this run goes to runs/shapes-2" in capsys.readouterr().out


def test_a_teacher_that_is_not_finished_is_refused(stopped, capsys, monkeypatch):
    monkeypatch.delenv("QUICK")
    monkeypatch.setattr(loop, "fit", lambda run, path, force: path)
    words = ["fit", "shapes_distill", "--teacher", "runs/shapes"]
    assert main(words) == 2
    assert (
        "the teacher runs/shapes is not finished (epoch 3 of 5); go on with: python -m train resume"
        in capsys.readouterr().err
    )
    assert main([*words, "--force"]) == 0 and main(["fit", "shapes_distill", "--teacher", str(TEACHER)]) == 0


def test_an_imported_run_is_a_teacher(here, monkeypatch):
    monkeypatch.delenv("QUICK")
    monkeypatch.setattr(loop, "fit", lambda run, path, force: path)
    hub.save_folder(here / "large", "detr", classes=8)
    assert main(["import", "large", "--out", "runs/large"]) == 0
    assert main(["fit", "shapes_distill", "--teacher", "runs/large"]) == 0


def test_a_run_without_its_checkpoint_is_finished_if_its_last_epoch_was_measured(here):
    """As the runs that come with the project, which are small enough to be copied."""
    assert folder.unfinished(ROOT / "assets/runs/shapes") == ""
    assert main(["fit", "shapes"]) == 0
    state.path(Path("runs/shapes")).unlink()
    assert folder.unfinished(Path("runs/shapes")) == ""
    Path("runs/shapes/student.safetensors").unlink()
    assert folder.unfinished(Path("runs/shapes")) == "epoch 0 of 1"


def test_force_reaches_the_loop_and_quick_stands_for_it(here, monkeypatch):
    seen = []
    monkeypatch.setattr(loop, "fit", lambda run, path, force: seen.append(force))
    for quick, words in (("1", []), ("0", []), ("0", ["--force"])):
        monkeypatch.setenv("QUICK", quick)
        assert main(["fit", "shapes", *words]) == 0
    assert seen == [True, False, True]


def test_an_untrained_teacher_stops_the_run_where_its_ap_is_known(here):
    loop.fit(replace(runs.small(), name="weak"), Path("runs/weak"))
    run = replace(runs.small(), teacher=Path("runs/weak"))
    with pytest.raises(UserError, match=r"the teacher has AP \d\.\d: it is not trained; .* or add --force"):
        loop.fit(run, Path("runs/new"), force=False)
    assert not Path("runs/new").exists()
    assert loop.fit(run, Path("runs/new")) == Path("runs/new")


def test_a_teacher_below_its_students_start_is_refused(here, monkeypatch):
    """Both are known by their AP; the better one is refused as the student of the worse."""
    loop.fit(replace(runs.small(), name="weak"), Path("runs/weak"))
    monkeypatch.setattr(loop, "UNTRAINED_AP", -1.0)
    run = replace(runs.small(), teacher=Path("runs/weak"), init=str(TEACHER))
    with pytest.raises(UserError, match=r"the teacher has AP \d\.\d, and its student starts with \d+\.\d"):
        loop.fit(run, Path("runs/new"), force=False)
    assert not Path("runs/new").exists()
