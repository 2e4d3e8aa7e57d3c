"""The demo: what its runs have in common and what not, and what it concludes from their results."""

from dataclasses import replace
from math import ceil

import pytest

from core.data.shapes.dataset import COUNTS
from core.files import read_json
from train.studies import demo, demo_seeds

BATCH = 8


def steps(run):
    """The steps that a run of the demo takes."""
    images = COUNTS["train"] if run.data.unlabelled or not run.data.train_limit else run.data.train_limit
    return run.optim.epochs * ceil(images / BATCH)


def row(ap, epochs=8, seconds=120.0):
    return {"ap": ap, "ap50": ap, "ap75": ap, "epochs": epochs, "seconds": seconds}


def test_runs_with_few_labels_share_student_labels_and_length():
    runs = demo.few(seed=5)
    alone = runs["few_alone"]
    assert alone.teacher is None and alone.data.unlabelled == () and alone.data.train_limit == demo.LABELLED
    for run in runs.values():
        assert (run.student, run.init, run.seed, run.optim.lr) == (alone.student, alone.init, 5, alone.optim.lr)
        assert replace(run.data, unlabelled=()) == alone.data
        assert 2000 < steps(run) <= 2400
    assert steps(demo.ceiling()) <= 2400 and demo.ceiling().data == replace(alone.data, train_limit=None)


def test_the_teacher_has_learnt_from_another_draw_of_the_images():
    """Else it would remember the boxes of the images that count as unlabelled."""
    taught = demo.pair(0)["distilled"]
    assert {run.data.seed for run in demo.few(0).values()} == {demo.DRAW} and demo.DRAW != taught.data.seed


def test_only_the_logits_are_added_where_a_store_has_them():
    runs = demo.few(0)
    pseudo, logits = runs["few_teacher"], runs["few_logits"]
    assert pseudo.losses.logits.weight == 0 < logits.losses.logits.weight
    assert replace(logits, losses=pseudo.losses, optim=pseudo.optim) == pseudo


def test_images_that_the_teacher_looks_at_are_counted():
    few, pair = demo.few(0), demo.pair(0)
    assert [demo.asked(run) for run in (*few.values(), *pair.values())] == [0, 2400, 2400, 0, 0]
    labelled = replace(few["few_logits"], data=replace(few["few_logits"].data, unlabelled=()))
    assert demo.asked(labelled) == demo.LABELLED
    assert demo.with_seconds({"steps": 100}, 0.5, 7.0) == {"steps": 100, "seconds": 57.0}


@pytest.mark.parametrize(
    "pseudo, logits, words",
    [
        (0.6, 0.5, ["Few labels, many images: distil", "2.0 minutes with the teacher give +30.0 AP"]),
        (0.5, 0.6, ["Few labels, many images: distil", "3.0 minutes with the teacher give +30.0 AP"]),
        (0.2, 0.1, ["did not help", "give -10.0 AP"]),
    ],
)
def test_the_advice_for_few_labels_is_that_of_the_better_row(pseudo, logits, words):
    rows = {"few_alone": row(0.3), "few_teacher": row(pseudo), "few_logits": row(logits, seconds=180.0)}
    said = demo.few_advice(rows | {"all_labels": row(0.55)})
    assert all(word in said for word in [*words, "over 2.0 minutes alone", "AP 55.0"])


def test_the_advice_for_all_labels_compares_at_equal_time():
    rows = {"alone": row(0.45), "distilled": row(0.53), "alone_equal_time": row(0.6)}
    said = demo.advice(rows)
    assert "+8.0 AP" in said and "train alone for as long: AP 60.0 against 53.0 distilled" in said
    said = demo.advice(rows | {"alone_equal_time": row(0.5)})
    assert "train distilled: AP 53.0 against 50.0 alone for as long" in said


def test_rows_that_were_trained_earlier_have_a_star():
    lines = demo.table({"few_alone": row(0.3), "all_labels": row(0.5)}, {"few_alone": row(0.3)}).splitlines()
    assert (
        "*" not in lines[1]
        and lines[2].startswith("2,400 labels, alone *")
        and lines[3].startswith("* trained earlier")
    )
    assert lines[1].split()[-5:] == ["30.0", "30.0", "30.0", "8", "2.0"]


def test_rows_that_were_trained_earlier_are_timed_here():
    """Else the table would compare seconds of two machines."""
    times = {"few_alone": 1.0, "alone": 0.5, "distilled": 2.0}
    rows = read_json(demo.SEEDS)["demo"]
    for name, step in (("all_labels", 0.5), ("alone", 0.5), ("alone_equal_time", 0.5), ("distilled", 2.0)):
        assert demo.timed_again(name, times) == rows[name] | {"seconds": rows[name]["steps"] * step}
    assert demo.timed_again("teacher", times) == rows["teacher"]


def test_committed_rows_are_those_of_the_study():
    """A row of another student, schedule or seed would make the demo's table compare what it does not say."""
    committed = read_json(demo.SEEDS)
    runs = demo_seeds.rows()
    assert committed["rows"].keys() == runs.keys()
    for name, run in runs.items():
        got = committed["rows"][name]
        assert (got["seed"], got["epochs"], got["steps"]) == (run.seed, run.optim.epochs, steps(run)), name
        data = got["run"]["data"]
        assert (data.get("train_limit"), data.get("seed", 0)) == (run.data.train_limit, run.data.seed), name
    for name in demo.TITLES:
        assert name == "teacher" or committed["demo"][name] == committed["rows"][f"{name}-0"]
