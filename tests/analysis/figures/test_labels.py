"""The figure of AP against labelled images."""

import pytest

from analysis.figures import labels
from analysis.inputs.inputs import Absent, Inputs
from analysis.inputs.rows import Row
from train.studies import _labelled


def row(labelled: int, method: str, seed: int, ap: float) -> Row:
    result = {"labelled": labelled, "method": method, "seed": seed, "ap": ap, "seconds": 250.0}
    return Row(f"{labelled} {method}-{seed}", result)


@pytest.fixture
def inputs(tmp_path) -> Inputs:
    rows = [row(n, "alone", seed, ap + 0.02 * seed) for n, ap in ((150, 0.3), (2400, 0.6)) for seed in range(3)]
    rows += [row(150, "pseudo", seed, 0.5 + 0.04 * seed) for seed in range(3)]
    return Inputs([*rows, Row("other", {"ap": 0.9})], tmp_path)


def test_points_are_means_and_bands_the_range_of_the_seeds(inputs):
    rows = labels.measure(inputs).rows
    assert [(r["method"], r["labelled"], r["seeds"]) for r in rows] == [
        ("alone", 150, 3),
        ("alone", 2400, 3),
        ("pseudo", 150, 3),
    ]
    assert [rows[2][k] for k in ("low", "ap", "high")] == pytest.approx([50, 54, 58])
    assert rows[2]["as_good_as"] == pytest.approx(150 * 16 ** ((0.54 - 0.32) / 0.3))


def test_the_caption_says_what_a_teacher_is_worth(inputs):
    caption = labels.measure(inputs).caption
    assert "+22.0 AP, with 150 labelled images (pseudo)" in caption and "250 s" in caption


def test_a_line_for_each_method_is_drawn(inputs):
    ax = labels.make(labels.measure(inputs)).axes[0]
    lines = {line.get_label(): line.get_xydata().tolist() for line in ax.get_lines()}
    assert lines[labels.TITLES["alone"]] == [[150, pytest.approx(32)], [2400, pytest.approx(62)]]
    assert lines[labels.TITLES["pseudo"]] == [[150, pytest.approx(54)]]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["150", "2,400"]


def test_every_method_of_the_study_has_a_line_of_its_own():
    assert set(labels.TITLES) == set(labels.STYLES) == set(_labelled.METHODS)
    assert len({look["color"] for look in labels.STYLES.values()}) == len(labels.STYLES)


def test_other_rows_are_no_study_of_labels(tmp_path):
    with pytest.raises(Absent, match="train study labels"):
        labels.measure(Inputs([Row("other", {"ap": 0.9})], tmp_path))
