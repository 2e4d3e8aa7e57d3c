"""The study of labels: what its rows learn from, and that no row takes more time than the student alone."""

import shutil
from dataclasses import replace
from functools import cache
from math import ceil
from pathlib import Path
from statistics import mean

import pytest

from core.files import read_json, write_json
from core.nn import backbones
from core.runs.checkpoint import save_module
from core.runs.results import result
from tests.helpers import runs, tiny
from train.engine.loop import fit
from train.job.build import build
from train.job.stored_teacher import open_store
from train.run import Distil
from train.studies import _labelled, _pace, labels
from train.studies._grid import row_folder

COSTS = {"image": 0.01, "alone": 0.05, "pseudo": 0.055, "logits": 0.06, "prior": 0.08, "full": 0.12}
LENGTHS = {150: 1.0, 2400: 1.0, 38: 0.25, 600: 0.5}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@cache
def rows() -> dict:
    wanted = [s for group in _labelled.GROUPS for s in _labelled.settings(group)] + _labelled.extended_settings()
    return labels.named_runs(wanted, COSTS, LENGTHS)


def test_the_first_part_has_45_rows_and_begins_with_the_main_question():
    names = labels.names(extended=False)
    assert len(names) == len(set(names)) == 45 and set(names) < set(labels.names(extended=True)) == set(rows())
    assert {name.split()[0] for name in names[:27]} == {"150", "2400"}


def test_no_row_takes_more_time_than_the_student_alone():
    for name, run in rows().items():
        images = 2400 if run.data.unlabelled or run.data.train_limit is None else run.data.train_limit
        steps = run.optim.epochs * ceil(images / run.optim.batch)
        row = _labelled.with_costs(name, {"steps": steps}, COSTS)
        budget = _labelled.BUDGET * COSTS["alone"]
        epoch = COSTS["logits" if row["method"] == "falling" else row["method"]] * ceil(images / run.optim.batch)
        share = LENGTHS.get(row["labelled"], 1.0) if row["method"] == "alone" else 1.0
        assert row["seconds"] <= budget
        assert row["method"] == "alone" and row["labelled"] not in LENGTHS or row["seconds"] > share * budget - epoch


def test_rows_learn_from_what_their_name_says():
    for name, run in rows().items():
        labelled, method = int(name.split()[0]), name.split()[1].partition("-")[0]
        assert run.data.train_limit == (labelled if labelled < 2400 else None)
        assert run.data.unlabelled == (("rest",) if labelled < 2400 and method != "alone" else ())
        assert (run.teacher is not None) == (method != "alone")
        assert (run.teacher_store is not None) == (method in ("pseudo", "logits", "falling", "prior"))
        assert run.distil == (_labelled.FALLING if method == "falling" else Distil())
        weights = {key for key, value in vars(run.losses).items() if value.weight}
        extra = {"alone": (), "pseudo": (), "prior": ("logits", "prior")} | dict.fromkeys(
            ("logits", "falling"), ("logits",)
        )
        assert weights == {"detection", *extra.get(method, ("logits", "prior", "features"))}
        assert run.data.part == "test" and f"labels/backbones/{run.student.backbone}" in run.init


def test_teacher_and_backbones_have_seen_none_of_the_students_images():
    teacher = _labelled.teacher()
    assert teacher.data.seed == _labelled.DRAW != 0 == next(iter(rows().values())).data.seed
    assert all("labels/backbones" in run.init for run in [teacher, *rows().values()])


def test_the_student_alone_has_the_best_of_three_lengths_on_other_images_than_it_is_measured_on():
    tuned = _labelled.tuning_rows((150, 600))
    assert len(tuned) == 6 and {run.data.part for run in tuned.values()} == {"val"}
    assert {run.seed for run in tuned.values()}.isdisjoint(_labelled.SEEDS)
    aps = dict.fromkeys(tuned, 0.3) | {"600 alone, 0.25 of the budget": 0.4}
    assert _labelled.best_lengths(aps | {"150 alone, 0.5 of the budget": 0.5}) == {150: 0.5, 600: 0.25}


def test_a_step_costs_less_once_its_distillation_has_ended():
    """Three quarters of the steps have the logits; after that objects of unlabelled images still come from the store."""
    assert _labelled.step_cost(2400, "falling", COSTS) == pytest.approx(0.75 * 0.06 + 0.25 * 0.05)
    assert _labelled.step_cost(150, "falling", COSTS) == pytest.approx(0.75 * 0.06 + 0.25 * 0.055)
    assert _labelled.step_cost(150, "logits", COSTS) == 0.06


@pytest.fixture
def small(monkeypatch, one_step_each):
    """The study with tiny networks, few images and a step or two."""
    config = tiny.config("adamixer", classes=8)
    run = runs.small(student=config)
    monkeypatch.setattr(_labelled, "IMAGES", 10)
    monkeypatch.setattr(_labelled, "GROUPS", ((4, 10),))
    monkeypatch.setattr(_labelled, "EXTENDED", (6,))
    monkeypatch.setattr(_labelled, "FEW_AND_ALL", (4,))
    monkeypatch.setattr(_labelled, "BUDGET", 6)
    monkeypatch.setattr(_labelled, "LENGTHS", (1.0,))
    monkeypatch.setattr("core.data.shapes.dataset.COUNTS", {"train": 10, "val": 4, "test": 4})
    monkeypatch.setattr(_labelled.shapes, "run", lambda: run)
    monkeypatch.setattr(_labelled.shapes_teacher, "run", lambda: run)
    monkeypatch.setattr(labels, "GROUPS", _labelled.GROUPS)
    monkeypatch.setattr(labels, "SEEDS", (0,))
    backbone = backbones.build("tiny8x1", run.student.strides, frozen=0)
    save_module(Path(_labelled.backbone_file(run)), backbone.body, {"backbone": "tiny8x1"})
    monkeypatch.setattr(labels, "prepare_backbones", lambda: None)


def trained_here(wanted, *, at_once, on_row=lambda rows: None):
    """As `run_rows`, in this process: another one takes seconds to start, and does not know the small set."""
    done = {}
    for name, run in wanted.items():
        if not (row_folder(run) / "student.safetensors").exists():
            fit(replace(run, threads=1), row_folder(run))
        done[name] = result(row_folder(run))
        on_row(done)
    return done


def test_the_study_ends_in_its_table_and_its_file(small, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(labels, "run_rows", trained_here)
    out = tmp_path / "labels.json"
    labels.main(out=out)
    written = read_json(out)
    assert set(written["rows"]) == {
        *("4 alone-0", "4 pseudo-0", "4 logits-0", "4 falling-0", "4 full-0", "10 alone-0", "10 logits-0"),
    }
    assert written["unfinished"] == [] and set(written["tuning"]) == set(_labelled.tuning_rows((4, 10)))
    for name, row in written["rows"].items():
        assert row["teacher_seconds"] == pytest.approx(
            written["costs"]["image"] * _labelled.asked_images(row["labelled"], row["method"])
        )
        assert (row["teacher"] is None) == (row["method"] == "alone"), name
    ap = mean(row["ap"] for row in written["rows"].values() if (row["labelled"], row["method"]) == (4, "pseudo"))
    entry = next(w for w in written["worth"] if (w["labelled"], w["method"]) == (4, "pseudo"))
    assert entry["ap"] == ap and f"4  pseudo   {100 * ap:6.1f}" in capsys.readouterr().out
    begun = [f.stat().st_mtime_ns for f in sorted(tmp_path.glob("runs/rows/*/student.safetensors"))]
    labels.main(out=out)  # called again, it trains nothing and writes the same
    assert [f.stat().st_mtime_ns for f in sorted(tmp_path.glob("runs/rows/*/student.safetensors"))] == begun
    assert read_json(out) == written


def test_rows_of_the_file_are_kept_where_nothing_has_been_trained(small, monkeypatch, tmp_path):
    """On another machine a teacher is trained for the missing row alone; costs, and so the lengths of rows, stay."""
    out, trained = tmp_path / "labels.json", list[str]()

    def recorded(wanted, **options):
        trained.extend(wanted)
        return trained_here(wanted, **options)

    monkeypatch.setattr(labels, "run_rows", recorded)
    labels.main(out=out)
    before, backbone = read_json(out), next(Path().glob("runs/labels/backbones/*.safetensors"))
    weights = backbone.read_bytes()
    shutil.rmtree("runs")
    trained.clear()
    labels.main(out=out)
    assert trained == [] and read_json(out) == before
    write_json(out, before | {"rows": {name: row for name, row in before["rows"].items() if name != "4 falling-0"}})
    backbone.parent.mkdir(parents=True)
    backbone.write_bytes(weights)
    labels.main(out=out)
    after = read_json(out)
    assert trained == ["teacher", "4 falling-0"] and set(after["rows"]) == set(before["rows"])
    assert all(after[key] == before[key] for key in ("costs", "tuning", "teacher", "unfinished"))
    assert after["rows"]["4 falling-0"]["ap"] == before["rows"]["4 falling-0"]["ap"]


def test_a_stored_teacher_is_timed_from_its_store(small, monkeypatch):
    """The teacher is not asked in a step whose answers are stored."""
    trained_here({"teacher": _labelled.teacher()}, at_once=1)
    run = _labelled.student(4, "logits", 1, 0)
    store = open_store(build(run))
    store.complete(4, 0)
    job = build(run)
    monkeypatch.setattr(job.distiller.teacher, "encode", None)
    next(_pace.training_steps(job))


def test_the_time_of_a_teacher_does_not_depend_on_what_its_store_holds_already(small, monkeypatch):
    """A study that was stopped between its store and its costs measures the costs all the same."""
    monkeypatch.setattr(_pace, "TIMED", 3)
    trained_here({"teacher": _labelled.teacher()}, at_once=1)
    run = _labelled.student(4, "logits", 1, 0)
    for _ in range(2):
        assert _pace.fill_store(run, clock=iter((10.0, 16.0)).__next__) == 2.0
        assert not open_store(build(run)).store.missing
