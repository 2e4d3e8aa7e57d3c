"""The diagnosis looks at the result: AP of 0, classes of 0, AP that stalls, and a teacher that its student has reached."""

import pytest

from core.runs.diagnose import verdict
from core.runs.diagnose.ap_findings import EARLY_STEPS, ap_findings, is_early
from core.runs.diagnose.history import Epoch, History

STEP = {"lr": 1e-3, "terms": {"detection/l1": 1.0}, "weighted": {"detection/l1": 1.0}}


def history(*aps, steps=EARLY_STEPS, teacher=None, per_class=None) -> History:
    """A run with these APs, epoch by epoch, and the APs of its classes in the last one."""
    epochs = [Epoch(k, ap) for k, ap in enumerate(aps, start=1)]
    if per_class:
        epochs[-1] = Epoch(len(aps), aps[-1], per_class)
    return History([STEP] * steps, [], tuple(epochs), teacher)


def kinds(run: History) -> list[str]:
    return [finding.disease for finding in ap_findings(run)]


@pytest.mark.parametrize(
    "steps, ap, early, expected",
    [
        (EARLY_STEPS - 1, 0.0, True, []),
        (EARLY_STEPS, 0.0, False, ["nothing"]),
        (EARLY_STEPS, 0.009, False, ["nothing"]),
        (EARLY_STEPS, 0.011, False, []),
        (12, 0.049, True, []),
        (12, 0.05, False, []),
    ],
)
def test_an_ap_of_0_means_something_only_after_some_steps(steps, ap, early, expected):
    run = history(ap, steps=steps)
    assert is_early(run) is early and kinds(run) == expected


def test_an_early_run_is_not_called_healthy():
    assert verdict(history(0.0, steps=12), None, ()).startswith(
        "Too early to tell: the student's AP is 0.0 after 12 steps"
    )
    assert verdict(history(0.3), None, ()).startswith("Healthy")
    (finding,) = ap_findings(history(0.0, steps=900))
    said = verdict(history(0.0, steps=900), None, (finding,))
    assert said.startswith("The student finds nothing: its AP is 0.0 after 900 steps; ")


def test_a_verdict_keeps_the_capitals_of_its_title():
    run = history(0.1, 0.4, 0.3, 0.2)
    assert verdict(run, None, tuple(ap_findings(run))).startswith("AP has stopped growing: ")


def test_without_any_measured_ap_nothing_is_said_of_it():
    assert kinds(history(None, None, None, None)) == kinds(history()) == []


@pytest.mark.parametrize(
    "aps, stalls",
    [
        ((0.1, 0.2, 0.3, 0.4), False),
        ((0.4, 0.1, 0.2, 0.41), False),
        ((0.1, 0.4, 0.3, 0.4), True),
        ((0.1, 0.4, 0.39, 0.38), True),
        ((0.4, 0.3, 0.2), False),
        ((0.1, 0.2, None, 0.4, 0.3), False),
        ((0.2, 0.4, 0.35, 0.3, 0.39), True),
    ],
)
def test_ap_stalls_if_the_second_half_is_not_above_the_first(aps, stalls):
    assert kinds(history(*aps)) == ["stalled"] * stalls


def test_a_stall_names_the_best_epochs():
    (finding,) = ap_findings(history(0.1, 0.42, 0.3, 0.2, 0.38, 0.1))
    assert (
        "it was 42.0 after epoch 2, and 38.0 at most from epoch 4 on" in finding.evidence and "--lr" in finding.setting
    )


@pytest.mark.parametrize(
    "teacher, expected", [(0.45, []), (0.409, ["overtaken"]), (0.3, ["overtaken"]), (0.049, []), (None, [])]
)
def test_a_teacher_that_is_hardly_better_is_named(teacher, expected):
    """An untrained teacher is another finding."""
    assert kinds(history(0.1, 0.4, teacher=teacher)) == expected


@pytest.mark.parametrize(
    "per_class, named",
    [
        ({"disc": 0.4, "platelet": 0.0}, "1 of 2 classes ('platelet'), 40.0 over all"),
        ({"disc": 0.4, "a": 0.0, "b": 0.004, "c": 0.0, "d": 0.0}, "4 of 5 classes ('a', 'b', 'c' and 1 more)"),
        ({"disc": 0.4, "ring": 0.005}, None),
        ({"disc": 0.4, "empty": None}, None),
        ({"disc": 0.0}, None),
    ],
)
def test_classes_that_are_never_found_are_named(per_class, named):
    findings = list(ap_findings(history(0.4, per_class=per_class)))
    assert [x.disease for x in findings] == ["class"] * bool(named)
    assert not named or named in findings[0].evidence
