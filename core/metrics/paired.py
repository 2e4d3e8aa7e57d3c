"""Paired gain: the difference between two rows of a study that were trained with the same seeds."""

from collections.abc import Sequence
from math import sqrt
from statistics import mean, stdev
from typing import TypedDict

from scipy.special import stdtrit  # the quantile of scipy.stats.t, whose module takes a second to import


class Gain(TypedDict):
    """Mean difference of two rows, and half the width of its 95% confidence interval (None for a single seed)."""

    mean: float
    half: float | None


def paired_gain(values: Sequence[float], base: Sequence[float]) -> Gain:
    """The gain of `values` over `base`, seed by seed, with Student's t interval; ValueError if the lengths differ."""
    differences = [a - b for a, b in zip(values, base, strict=True)]
    n = len(differences)
    half = float(stdtrit(n - 1, 0.975)) * stdev(differences) / sqrt(n) if n > 1 else None
    return {"mean": mean(differences), "half": half}


def gain_text(gain: Gain) -> str:
    """The gain in points (1/100) with its interval; says so where the interval contains 0."""
    value, half = gain["mean"], gain["half"]
    if half is None:
        return f"{100 * value:+.1f}"
    note = "" if is_significant(value, half) else ", not significant"
    return f"{100 * value:+.1f} ± {100 * half:.1f}{note}"


def is_significant(mean: float, half: float | None) -> bool:
    """Returns whether the interval mean ± half excludes 0; False without an interval (a single seed)."""
    return half is not None and abs(mean) > half
