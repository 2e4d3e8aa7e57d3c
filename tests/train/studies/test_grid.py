import json
from dataclasses import replace

import pytest

from core.errors import UserError
from core.losses import features
from core.project import ROOT
from tests.helpers import runs
from train import recipes
from train.run import Losses
from train.studies import _grid


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_folder_is_named_by_what_decides_the_result():
    run = runs.small()
    same = [
        replace(run, name="other"),
        replace(run, workers=3),
        replace(run, threads=2, device="cpu", tensorboard=True),
    ]
    assert {_grid.row_folder(r) for r in same} == {_grid.row_folder(run)}
    more = replace(run.losses, features=features.Config(weight=1.0))
    other = [
        replace(run, seed=4),
        replace(run, losses=more),
        replace(run, losses=replace(more, features=replace(more.features, gamma=0.25))),
        replace(run, optim=replace(run.optim, lr=2e-3)),
        replace(run, data=replace(run.data, train_limit=9)),
        replace(run, student=replace(run.student, layers=1)),
        replace(run, init="imagenet"),
        replace(run, amp="bf16"),
    ]
    assert len({_grid.row_folder(r) for r in [run, *other]}) == 1 + len(other)


def test_a_folder_is_named_by_the_teachers_weights_wherever_they_lie(tmp_path):
    for name, weights in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(weights)
    a, b, c = (_grid.row_folder(replace(runs.small(), teacher=tmp_path / name)) for name in "abc")
    assert a == b != c


def test_a_field_at_its_default_is_left_out():
    """So that a field which a later version adds moves no row."""
    changed = _grid.changed_fields(Losses())
    assert set(changed) == {""} and set(
        _grid.changed_fields(Losses(features=features.Config(gamma=0.2)))["features"]
    ) == {
        "gamma",
        "",
    }


def test_rows_are_trained_once_and_written_as_they_finish(tmp_path):
    rows = {"one": runs.small(name="one"), "two": runs.small(name="two", seed=5)}
    seen = []
    found = _grid.run_rows(rows, at_once=2, on_row=lambda done: seen.append(set(done)))
    assert seen[-1] == {"one", "two"} and len(seen) == 2 and len(seen[0]) == 1
    assert list(found) == ["one", "two"] and found["one"]["seed"] == 3 and found["two"]["seed"] == 5
    assert found["one"]["measured_after"] == [1, 2, 3] and found["one"]["steps"] == 9
    assert found["one"]["ap_by_epoch"][-1] == found["one"]["ap"]
    again = _grid.run_rows(
        {"three": replace(rows["one"], name="three")}, at_once=1, on_row=lambda done: seen.append("trained")
    )
    assert again == {"three": found["one"]} and "trained" not in seen


def test_no_row_at_once_is_refused():
    with pytest.raises(UserError, match="--at-once is 0; it must be a whole number from 1"):
        _grid.run_rows({"one": runs.small()}, at_once=0)


def test_a_folder_of_another_run_is_refused(tmp_path):
    path = tmp_path / "runs" / "x"
    path.mkdir(parents=True)
    _grid.write_json(path / "card.json", {"run": _grid.encode(runs.small(seed=9))})
    with pytest.raises(UserError, match="x holds a run with another seed"):
        _grid.run_rows({"x": runs.small()}, at_once=1, folder=tmp_path / "runs")


def test_rows_are_kept_beside_what_they_are_about(tmp_path):
    _grid.result_writer(tmp_path / "x.json", command="study")({"a": {"ap": 0.5}})
    assert json.loads((tmp_path / "x.json").read_text()) == {"command": "study", "rows": {"a": {"ap": 0.5}}}


def test_no_finished_row_is_trained_again():
    """The digests that find finished rows are those of the first version, wherever classes have moved since."""
    known = json.loads((ROOT / "tests" / "train" / "studies" / "row_digests.json").read_text())
    assert len(known) == 65
    assert {name: _grid.row_folder(recipes.recipe(name)).name for name in known} == known
