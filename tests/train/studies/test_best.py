"""The search for the best student: both sides have as many trials and as much time, and it ends in its winners."""

from dataclasses import replace

import pytest

from core.files import read_json
from core.project import ROOT
from tests.helpers import runs, tiny
from tests.train.studies.test_labels import trained_here
from train.recipes.on_shapes import shapes
from train.recipes.own_data import best as recipe
from train.recipes.own_data import coco
from train.run import Losses
from train.studies import best
from train.studies._grid import row_folder

SECONDS = {"image": 0.5, "alone": 0.1} | {name: 0.2 for name in best.TAUGHT if not name.endswith("falling")}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_both_sides_have_as_many_different_trials():
    assert len(best.ALONE) == len(best.TAUGHT) == 8
    rows = {name: best.student(name, 3, SECONDS) for name in best.TRIALS}
    assert len({row_folder(run) for run in rows.values()}) == 16
    for name, run in rows.items():
        needs_teacher = name in best.TAUGHT
        assert run.teacher == (row_folder(best.teacher()) if needs_teacher else None)
        assert (run.losses != Losses(detection=best.DETECTION)) == needs_teacher
        assert (run.teacher_store is not None) == name.startswith("stored")
        assert run.data == replace(shapes.run().data, part="test") and run.seed == 3
    assert best.of_epochs(best.ALONE["flat-decay 0.001"], 8, 0).optim == shapes.run().optim


def test_all_rows_take_the_time_of_the_student_alone(monkeypatch):
    monkeypatch.setattr(best, "BUDGET", 30_000)  # 100 epochs of 300 steps, 3,000 seconds
    epochs = {name: best.student(name, 0, SECONDS).optim.epochs for name in best.TRIALS}
    assert {epochs[name] for name in best.ALONE} == {100}
    assert epochs["all, live"] == 50 and epochs["all, live, falling"] == int(3000 / 0.175 / 300)
    assert epochs["stored logits"] == int((3000 - 2400 * 0.5) / 0.2 / 300) == 30
    assert epochs["stored logits, falling"] == int((3000 - 2400 * 0.5) / 0.175 / 300) == 34


def test_trials_are_measured_on_other_images_with_another_seed_than_the_rows():
    for name, run in best.tuning_runs(best.TRIALS, SECONDS).items():
        final = best.student(name, 0, SECONDS)
        assert run.seed not in best.SEEDS and (run.data.part, final.data.part) == ("val", "test")
        assert replace(run, seed=0, data=final.data) == final


def test_the_search_ends_in_its_winners_and_its_file(one_step_each, monkeypatch, tmp_path, capsys):
    run = runs.small(student=tiny.config("adamixer", classes=8))
    for start in (best.shapes, best.shapes_teacher):
        monkeypatch.setattr(start, "run", lambda: run)
    for name, value in {"BUDGET": 1, "IMAGES": 4, "TEACHER_IMAGES": 6, "TEACHER_EPOCHS": 1, "SEEDS": (1,)}.items():
        monkeypatch.setattr(best, name, value)
    few = {name: best.TAUGHT[name] for name in ("stored logits", "stored logits, falling")}
    alone = dict(list(best.ALONE.items())[:2])
    for name, value in {"ALONE": alone, "TAUGHT": few, "TRIALS": alone | few}.items():
        monkeypatch.setattr(best, name, value)
    monkeypatch.setattr(best, "SIDES", {"alone": alone, "distilled": few})
    monkeypatch.setattr(best, "run_rows", trained_here)
    best.main(out=tmp_path / "best.json")
    written = read_json(tmp_path / "best.json")
    assert set(written["rows"]) == {"teacher", *alone, *few, "alone-1", "distilled-1"} and written["unfinished"] == []
    assert set(written["seconds"]) == {"image", "alone", "stored logits"}
    for side, trials in best.SIDES.items():
        winner = written["winners"][side]
        assert written["rows"][winner]["ap"] == max(written["rows"][name]["ap"] for name in trials)
    assert capsys.readouterr().out.splitlines()[-3].startswith(f"distilled: {written['winners']['distilled']}, AP")


def test_the_recipe_is_the_best_way_to_distil_that_was_found():
    written = read_json(ROOT / "assets" / "results" / "best.json")
    winner, run = best.TAUGHT[written["winners"]["distilled"]], recipe.run()
    assert written["unfinished"] == [] and (run.losses, run.distil) == (winner.losses, winner.distil)
    assert (run.teacher_store is not None) == winner.stored
    assert run.optim == replace(coco.run().optim, epochs=3 * coco.run().optim.epochs)


def test_the_verdict_is_the_gain_of_the_distilled_student_seed_by_seed():
    ap = {"alone": (0.60, 0.61, 0.62), "distilled": (0.65, 0.66, 0.67)}
    rows = {f"{side}-{seed}": {"ap": x} for side, values in ap.items() for seed, x in enumerate(values)}
    said = best.verdict({"alone": "cosine 0.001", "distilled": "all, live"}, rows)
    assert said.splitlines() == [
        "alone: cosine 0.001, AP 60.0, 61.0, 62.0",
        "distilled: all, live, AP 65.0, 66.0, 67.0",
        "the distilled student gains +5.0 ± 0.0 AP in the same time",
    ]
