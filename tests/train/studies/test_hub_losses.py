"""The study of the losses of `hub_distill`: its rows differ in nothing else, and it ends in its table and its file."""

from dataclasses import replace

import pytest

from core.files import read_json
from train.recipes.on_shapes import shapes_distill
from train.recipes.own_data import hub_distill
from train.studies import hub, hub_losses
from train.studies._grid import row_folder


@pytest.fixture(autouse=True)
def quick_and_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUICK", "1")
    monkeypatch.setattr(hub, "first_weights", lambda *_, **__: tmp_path / "first.safetensors")


def test_rows_differ_by_losses_and_teacher_alone():
    runs = hub_losses.runs()
    assert len({row_folder(run) for run in runs.values()}) == len(runs) == 2 * len(hub_losses.WAYS)
    for name, run in runs.items():
        alone = runs[f"{name.split(', ')[0]}, alone"]
        assert run.losses.detection == alone.losses.detection and run.data.part == "val"
        if run is not alone:
            assert run.teacher == shapes_distill.TEACHER and run.losses != alone.losses
            assert replace(run, losses=alone.losses, teacher=None) == alone
    assert runs["rf_detr, features"].losses == hub_distill.LOSSES


def test_the_study_ends_in_its_table_and_file(monkeypatch, tmp_path, capsys):
    ap = {name: 0.01 * number for number, name in enumerate(hub_losses.runs())}
    monkeypatch.setattr(hub_losses, "run_rows", lambda runs, **_: {name: {"ap": ap[name]} for name in runs})
    hub_losses.main(out=tmp_path / "elsewhere.json")
    assert list(read_json(tmp_path / "runs" / "hub_losses.json")["rows"]) == list(ap)
    said = capsys.readouterr().out.splitlines()
    ways = len(hub_losses.WAYS)
    assert len(said) == len(ap) + 1 and said[-1] == "written to runs/hub_losses.json"
    assert said[ways].split() == ["rf_detr,", "alone", "AP", f"{ways:.1f}", "+0.0"]
    assert said[ways - 1].split()[-2:] == [f"{ways - 1:.1f}", f"+{ways - 1:.1f}"]
    assert said[-2].split()[-1] == f"+{ways - 1:.1f}"
