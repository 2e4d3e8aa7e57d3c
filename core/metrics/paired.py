"""Two rows of a study under common seeds: what one gives beyond the other."""

from collections.abc import Sequence
from math import sqrt
from statistics import mean, stdev

from scipy.stats import t


def paired_gain(mine: Sequence[float], base: Sequence[float]) -> dict[str, float | None]:
    """Mean of the differences seed by seed, and half the width of its 95% interval (Student's t); None of one seed."""
    found = [a - b for a, b in zip(mine, base, strict=True)]
    half = float(t.ppf(0.975, len(found) - 1)) * stdev(found) / sqrt(len(found)) if len(found) > 1 else None
    return {"mean": mean(found), "half": half}


def gain_text(found: dict[str, float | None]) -> str:
    """In points of 100. An interval that holds 0 does not tell the two apart."""
    if found["half"] is None:
        return f"{100 * found['mean']:+.1f}"
    same = "" if is_significant(found["mean"], found["half"]) else ", not separable"
    return f"{100 * found['mean']:+.1f} ± {100 * found['half']:.1f}{same}"


def is_significant(mean: float, half: float | None) -> bool:
    """Whether the interval leaves 0 out; one seed has none."""
    return half is not None and abs(mean) > half
