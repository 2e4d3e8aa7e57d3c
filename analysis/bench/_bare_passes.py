"""Compares work on images with the bare forward passes that it consists of: time in turns, and memory."""

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from analysis.bench import Aim


@dataclass(frozen=True)
class Turn:
    """Seconds of the bare passes and of the work, one after the other, and the peak memory of the process so far in MB."""

    bare: float
    work: float
    peak: int


def turn(bare: Callable[[], object], work: Callable[[], object]) -> Turn:
    """Runs the bare passes and then the work."""
    start = perf_counter()
    bare()
    middle = perf_counter()
    work()
    end = perf_counter()
    return Turn(middle - start, end - middle, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def summary(case: str, name: str, turns: Sequence[Turn]) -> dict:
    """The row of all turns: seconds of both, under NAME_s for the work, the median ratio, and the growth of memory."""
    row: dict = {"case": case, "bare_s": round(sum(t.bare for t in turns), 1)}
    row[f"{name}_s"] = round(sum(t.work for t in turns), 1)
    row["ratio"] = round(median(t.work / t.bare for t in turns), 3)
    return row | {"peak_mb": turns[0].peak, "grown_mb": turns[-1].peak - turns[0].peak}


def aim(row: dict, most: float) -> Aim:
    """The aim that the work takes at most so many times as long as the bare passes."""
    return Aim(f"at most {most} times the bare forward passes", row["ratio"], row["ratio"] <= most)
