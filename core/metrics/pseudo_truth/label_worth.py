"""Says what a teacher is worth in labels: with how many labelled images the student alone would reach the same AP."""

from math import log2
from statistics import mean
from typing import TypedDict

from core.metrics.paired import gain_text, paired_gain

# Results of runs by name, each with "labelled", "method", "seed", "ap" (0 .. 1) and "seconds".
Rows = dict[str, dict]
Aps = dict[int, float]  # AP (0 .. 1) by seed


class Worth(TypedDict):
    """A method with a number of labelled images, compared with the student alone."""

    labelled: int
    method: str
    ap: float  # mean over seeds
    seconds: float
    gain: str | None  # over the student alone with as many labels, in points; None if that has not been trained
    as_good_as: float | None  # labelled images with which the student alone has this AP; None if all are too few


def worth(rows: Rows) -> list[Worth]:
    """Compares each method with the student alone; the fewest labelled images come first."""
    groups = by_setting(rows)
    alone = {n: mean(aps.values()) for (n, method), aps in groups.items() if method == "alone"}
    return [
        Worth(
            labelled=n,
            method=method,
            ap=mean(aps.values()),
            seconds=mean(r["seconds"] for r in rows.values() if (r["labelled"], r["method"]) == (n, method)),
            gain=None if method == "alone" else gain(aps, groups.get((n, "alone"), {})),
            as_good_as=as_good_as(mean(aps.values()), alone),
        )
        for (n, method), aps in sorted(groups.items(), key=lambda item: item[0][0])
    ]


def by_setting(rows: Rows) -> dict[tuple[int, str], Aps]:
    """The AP of each seed, by number of labelled images and method."""
    groups: dict[tuple[int, str], Aps] = {}
    for row in rows.values():
        groups.setdefault((row["labelled"], row["method"]), {})[row["seed"]] = row["ap"]
    return groups


def gain(aps: Aps, base: Aps) -> str | None:
    """The gain over seeds in common, with its interval; None if there is none."""
    seeds = sorted(aps.keys() & base.keys())
    return gain_text(paired_gain([aps[s] for s in seeds], [base[s] for s in seeds])) if seeds else None


def as_good_as(ap: float, alone: dict[int, float]) -> float | None:
    """The number of labelled images with which the student alone has this AP, between those that were measured.

    The logarithm of the number is interpolated. The smallest number measured if even that has a higher AP; None if no number
    reaches the AP.
    """
    points = sorted(alone.items())
    for (low, low_ap), (high, high_ap) in zip([(points[0][0], 0.0), *points], points) if points else ():
        if ap <= high_ap:
            share = (ap - low_ap) / (high_ap - low_ap) if high_ap > low_ap else 1.0
            return float(2 ** (log2(low) + max(share, 0.0) * (log2(high) - log2(low))))
    return None


def table(rows: Rows) -> str:
    """A line for each method and number of labelled images."""
    head = f"{'labelled':>8}  {'method':<8} {'AP':>6} {'seconds':>8}  gain over alone; as good as labelled images"
    return "\n".join([head, *map(line, worth(rows))])


def line(entry: Worth) -> str:
    """One line of the table."""
    number, good = entry["labelled"], entry["as_good_as"]
    equal = "more than were tried" if good is None else f"{good:,.0f}"
    note = "" if entry["method"] == "alone" else f"{entry['gain'] or 'unknown'}; {equal}"
    return f"{number:>8,}  {entry['method']:<8} {100 * entry['ap']:>6.1f} {entry['seconds']:>8.0f}  {note}"
