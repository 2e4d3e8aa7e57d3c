"""The gain of one row of a study over another with the same seeds."""

import numpy as np
import pytest
from scipy import stats

from core.metrics.paired import gain_text, paired_gain


def test_the_interval_is_that_of_the_paired_test():
    chance = np.random.default_rng(0)
    for n in range(2, 9):
        values, base = chance.normal(size=(2, n))
        gain = paired_gain(list(values), list(base))
        interval = stats.ttest_rel(values, base).confidence_interval(0.95)
        assert (gain["mean"] - gain["half"], gain["mean"] + gain["half"]) == pytest.approx(tuple(interval))


def test_an_interval_that_contains_0_is_noted():
    assert gain_text(paired_gain([0.5, 0.6], [0.4, 0.49])) == "+10.5 ± 6.4"
    assert gain_text(paired_gain([0.75, 0.25], [0.5, 0.5])) == "+0.0 ± 317.7, not significant"
    assert gain_text(paired_gain([0.25], [0.4])) == "-15.0"


def test_seeds_must_be_common():
    with pytest.raises(ValueError):
        paired_gain([0.1, 0.2], [0.1])
