"""The study of the tiny twins: what its rows are, and its table."""

from dataclasses import replace

import pytest

from train.studies import twins


@pytest.fixture(autouse=True)
def quick_and_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUICK", "1")


def test_a_distilled_row_differs_from_the_one_alone_by_losses_and_teacher():
    alone, taught = twins.alone(), twins.distilled()
    assert len(alone) == len(taught) == 9 and len({twins.row_folder(run) for run in (alone | taught).values()}) == 18
    for name, run in taught.items():
        mine = alone[name.replace("distilled", "alone")]
        assert run.teacher and replace(run, name=mine.name, losses=mine.losses, teacher=None) == mine
    for kind in ("deformable", "conditional"):
        assert taught[f"{kind}-distilled-1"].teacher == twins.row_folder(twins.teachers()[f"{kind}-teacher"])


def test_the_table_is_of_the_seeds_in_turn():
    found = {f"{kind}-alone-{s}": {"ap": 0.2 + s / 10, "epochs": 5} for kind in twins.TWINS for s in twins.SEEDS}
    found |= {
        name.replace("alone", "distilled"): r | {"ap": r["ap"] + 0.055, "teacher": 0.7} for name, r in found.items()
    }
    pace = {f"{kind}-{how}": s for kind in twins.TWINS for how, s in (("alone", 0.1), ("distilled", 0.25))}
    lines = twins.table(found, pace).splitlines()
    want = "| Deformable DETR | 5 | 70.0 | 20.0, 30.0, 40.0 | 25.5, 35.5, 45.5 | +5.5 | x 2.5 |"
    assert len(lines) == 5 and lines[3] == want
