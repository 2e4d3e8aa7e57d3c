"""The study at convergence: what its rows are, that rows of the study before are found, and that it ends in its file."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from core.files import read_json, write_json
from core.nn import backbones
from core.runs.checkpoint import save_module
from tests.helpers import runs, tiny
from tests.train.studies.test_labels import trained_here
from train.run import Distil
from train.studies import converged, exhausted
from train.studies._grid import row_folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def weighted(run) -> set[str]:
    return {name for name, value in vars(run.losses).items() if value.weight}


def test_rows_differ_by_losses_and_by_how_these_end():
    rows = converged.students((0, 1))
    assert len({row_folder(run) for run in rows.values()}) == len(rows) == 2 * (8 + 3 + 10)
    for name, run in rows.items():
        few, words = name.startswith("few"), name.rpartition("-")[0].split(", ")
        method, end = words[0].split()[1], words[1:]
        names = {"all": {"logits", "features", "prior"}, "alone": set()}.get(method, {method})
        assert weighted(run) == names | {"detection"} and run.seed == int(name[-1])
        of = exhausted.teacher() if few else converged.teacher()
        assert run.teacher == (row_folder(of) if names else None)
        assert run.data.train_limit == (exhausted.IMAGES if few else None)
        assert run.optim.epochs == (exhausted.EPOCHS if few else int(words[0].split()[0]))
        assert run.distil == (converged.ENDS[end[0]] if end and end[0] in converged.ENDS else Distil())
        assert run.optim.schedule == ("step" if few and end != ["demo's schedule"] else "flat-decay")


def test_the_first_rows_are_those_of_the_study_exhausted():
    """So that none of them is trained again."""
    for seed in exhausted.SEEDS:
        rows = converged.few(seed)
        assert row_folder(rows["all"]) == row_folder(exhausted.distilled(seed))
        alone = replace(exhausted.long_run(exhausted.shapes.run()), seed=seed)
        assert row_folder(rows["alone"]) == row_folder(alone)


def test_the_teacher_has_seen_more_images_than_its_student():
    student, teacher = converged.long_run("all", 60, 0), converged.teacher()
    assert teacher.data.train_limit > 2400 and student.data.train_limit is None
    assert teacher.data.seed == student.data.seed and teacher.data.part == student.data.part == "test"


@pytest.fixture
def small(monkeypatch):
    """The study with tiny networks, few images and one or two epochs."""
    run = runs.small(student=tiny.config("adamixer", classes=8))
    file = Path("backbones") / "tiny8x1.safetensors"
    save_module(file, backbones.build("tiny8x1", run.student.strides, frozen=0).body, {"backbone": "tiny8x1"})
    for recipe in (converged.shapes, converged.shapes_teacher, exhausted.shapes, exhausted.shapes_distill):
        monkeypatch.setattr(recipe, "run", lambda: run)
    monkeypatch.setattr(exhausted, "FIRST_WEIGHTS", file.parent)
    monkeypatch.setattr(exhausted, "WIDER", "tiny8x1")
    monkeypatch.setattr(exhausted, "IMAGES", 4)
    monkeypatch.setattr(exhausted, "long_run", lambda run: run)
    monkeypatch.setattr(converged, "TEACHER_IMAGES", 12)
    monkeypatch.setattr(converged, "TEACHER_EPOCHS", 1)
    monkeypatch.setattr(converged, "LENGTHS", (1, 2))
    monkeypatch.setattr(converged, "few", lambda seed: {"alone": replace(run, seed=seed)})
    monkeypatch.setattr(converged, "run_rows", trained_here)


def stopped_after_one(wanted, *, at_once, on_row=lambda rows: None):
    """As `run_rows`, until one student has been trained."""
    if set(wanted) == {"teacher", "few teacher"}:
        return trained_here(wanted, at_once=at_once)
    on_row(trained_here(dict(list(wanted.items())[:1]), at_once=at_once))
    raise KeyboardInterrupt


def test_the_study_goes_on_where_it_stopped_and_ends_in_its_table_and_its_file(small, monkeypatch, tmp_path, capsys):
    out, names = tmp_path / "converged.json", list(converged.students((0,)))
    monkeypatch.setattr(converged, "run_rows", stopped_after_one)
    with pytest.raises(KeyboardInterrupt):
        converged.main(seeds=1, out=out)
    assert set(read_json(out)["rows"]) == {"teacher", "few teacher", names[0]}
    assert read_json(out)["unfinished"] == names[1:]
    begun = {f: f.stat().st_mtime_ns for f in tmp_path.glob("runs/rows/*/student.safetensors")}
    assert len(begun) == 3

    monkeypatch.setattr(converged, "run_rows", trained_here)
    converged.main(seeds=1, out=out)
    rows, said = read_json(out)["rows"], capsys.readouterr().out
    assert set(rows) == {"teacher", "few teacher", *names} and read_json(out)["unfinished"] == []
    assert all(f.stat().st_mtime_ns == time for f, time in begun.items()), "no finished row is trained again"
    lead = 100 * (rows["teacher"]["ap"] - rows["2 alone-0"]["ap"])
    assert f"2 epochs, seed 0: the teacher is {lead:+.1f} AP from the student alone" in said


def test_rows_of_the_file_are_not_trained_again_on_another_machine(small, monkeypatch, tmp_path):
    """A row with other settings than the study now has is trained again, and so is its teacher."""
    out = tmp_path / "converged.json"
    converged.main(seeds=1, part="few", out=out)
    first = read_json(out)
    shutil.rmtree(tmp_path / "runs")
    trained: list[str] = []

    def counted(wanted, **options):
        trained.extend(wanted)
        return trained_here(wanted, **options)

    monkeypatch.setattr(converged, "run_rows", counted)
    converged.main(seeds=1, part="few", out=out)
    assert not trained and read_json(out) == first
    damaged = {name: row | {"run": row["run"] | {"seed": 5}} for name, row in first["rows"].items()}
    write_json(out, first | {"rows": damaged})
    converged.main(seeds=1, part="few", out=out)
    assert trained == ["few teacher", "few alone-0"] and read_json(out)["rows"]["few alone-0"]["run"]["seed"] == 0


def test_a_part_trains_its_own_rows_and_keeps_the_others(small, monkeypatch, tmp_path):
    trained: list[str] = []

    def counted(wanted, **options):
        trained.extend(wanted)
        return trained_here(wanted, **options)

    monkeypatch.setattr(converged, "run_rows", counted)
    out, short = tmp_path / "converged.json", ["few teacher", "few alone-0"]
    converged.main(seeds=1, part="few", out=out)
    assert trained == list(read_json(out)["rows"]) == short
    converged.main(seeds=1, part="ends", out=out)
    ends = [f"1 all, {name}-0" for name in converged.ENDS]
    assert trained[2:] == ["teacher", *ends] and set(read_json(out)["rows"]) == {*short, "teacher", *ends}
    assert read_json(out)["unfinished"] == [f"{epochs} {method}-0" for epochs in (1, 2) for method in converged.LONG]


def test_other_students_are_compared_with_the_one_alone_under_their_schedule():
    ap = {"few alone": (0.24, 0.26), "few logits": (0.22, 0.25), "few features": (0.3,)}
    ap |= {"few alone, demo's schedule": (0.32,), "few all, demo's schedule": (0.33,), "few prior": ()}
    ap |= {"60 alone": (0.70, 0.71), "60 all, falling": (0.72,), "120 alone": (0.73,), "120 prior": (0.74,)}
    rows = {f"{name}-{seed}": {"ap": x} for name, values in ap.items() for seed, x in enumerate(values)}
    assert converged.verdict(rows | {"few teacher": {"ap": 0.3}}).splitlines() == [
        "120 epochs, prior, AP over the student alone: +1.0",
        "60 epochs, all, falling, AP over the student alone: +2.0",
        "few images, logits, AP over the student alone: -1.5 ± 6.4, not significant",
        "few images, features, AP over the student alone: +6.0",
        "few images, all, demo's schedule, AP over the student alone: +1.0",
    ]


def test_the_verdict_says_whether_the_teacher_leads_as_asked_and_is_reached():
    ap = {"teacher": 0.75, "60 alone-0": 0.70, "60 all-0": 0.76, "60 logits-0": 0.69, "60 prior-0": 0.72}
    said, *gains = converged.verdict({name: {"ap": x} for name, x in ap.items()}).splitlines()
    assert said == (
        "60 epochs, seed 0: the teacher is +5.0 AP from the student alone; with all losses the student reaches its teacher"
    )
    assert gains == [
        "60 epochs, all, AP over the student alone: +6.0",
        "60 epochs, logits, AP over the student alone: -1.0",
        "60 epochs, prior, AP over the student alone: +2.0",
    ]
    far = converged.verdict({name: {"ap": x} for name, x in (ap | {"teacher": 0.80}).items()})
    assert "+10.0 AP from the student alone, which is not the 3 to 8" in far and "does not reach its teacher" in far
