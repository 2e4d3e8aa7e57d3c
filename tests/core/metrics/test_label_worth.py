"""What a teacher is worth in labels."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.metrics.pseudo_truth.label_worth import as_good_as, table, worth

ALONE = {100: 0.2, 400: 0.4, 1600: 0.5}


def row(labelled: int, method: str, seed: int, ap: float, seconds: float = 100.0) -> dict:
    return {"labelled": labelled, "method": method, "seed": seed, "ap": ap, "seconds": seconds}


def rows(*wanted: dict) -> dict[str, dict]:
    return {f"{r['labelled']} {r['method']}-{r['seed']}": r for r in wanted}


@pytest.mark.parametrize(
    ("ap", "number"), [(0.2, 100), (0.3, 200), (0.4, 400), (0.45, 800), (0.5, 1600), (0.51, None), (0.1, 100)]
)
def test_a_score_is_worth_the_labels_with_which_the_student_alone_has_it(ap, number):
    assert as_good_as(ap, ALONE) == (number and pytest.approx(number))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9).map(sorted))
def test_a_better_score_is_worth_as_many_labels_or_more(aps):
    numbers = [as_good_as(ap, ALONE) or 1e9 for ap in aps]
    assert all(a <= b for a, b in pairwise(numbers)) and min(numbers) > 99.9


def test_gains_are_paired_by_seed():
    done = rows(
        *(row(100, "alone", seed, ap) for seed, ap in enumerate((0.2, 0.3, 0.1))),
        *(row(100, "pseudo", seed, ap) for seed, ap in enumerate((0.4, 0.5, 0.3))),
        row(400, "alone", 0, 0.4),
    )
    alone, pseudo, more = worth(done)
    assert (alone["method"], alone["gain"], more["labelled"]) == ("alone", None, 400)
    assert alone["ap"] == pytest.approx(0.2) and pseudo["ap"] == pytest.approx(0.4)
    assert pseudo["gain"] == "+20.0 ± 0.0" and pseudo["as_good_as"] == pytest.approx(400)


def test_a_method_without_a_student_alone_has_no_gain():
    (only,) = worth(rows(row(100, "pseudo", 0, 0.4)))
    assert only["gain"] is None and only["as_good_as"] is None
    assert "unknown; more than were tried" in table(rows(row(100, "pseudo", 0, 0.4)))


def test_the_table_has_a_line_for_each_setting():
    done = rows(row(38, "alone", 0, 0.1), row(2400, "alone", 0, 0.6, 250), row(38, "logits", 0, 0.35, 240))
    lines = table(done).splitlines()
    assert len(lines) == 4 and lines[2].split()[:4] == ["38", "logits", "35.0", "240"]
    assert lines[2].endswith("+25.0; 302") and lines[3].split() == ["2,400", "alone", "60.0", "250"]
