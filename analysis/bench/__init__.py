"""Benchmarks: each module in this folder is one, named by its file, and defines `run() -> (rows, aims)`.

The first line of a module's docstring is the benchmark's title in `python -m analysis list`. With QUICK=1 in the environment
most take small sizes.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from time import perf_counter, process_time

from analysis.catalogue import BENCHES


@dataclass(frozen=True)
class Aim:
    """An aim of a benchmark, and whether it is met."""

    aim: str  # in words, with its limit
    value: float  # measured
    met: bool


def run(name: str) -> dict:
    """Runs one benchmark: {"name", "rows": [{"case", ...}], "aims": [{"aim", "value", "met"}]}."""
    rows, aims = BENCHES.module(name).run()
    return {"name": name, "rows": rows, "aims": [asdict(a) for a in aims]}


@dataclass(frozen=True)
class Time:
    """The least wall time and the least processor time of several calls, in milliseconds.

    Processor time sums all threads; the load of other programs hardly changes it.
    """

    ms: float
    work_ms: float


def fastest(
    calls: Mapping[str, Callable[[], object]], *, times: int, once: frozenset[str] = frozenset()
) -> dict[str, Time]:
    """Times each call `times` times, taking turns; slow ones named in `once` are called once only."""
    best: dict[str, Time] = {}
    for turn in range(times):
        for name, call in calls.items():
            if turn and name in once:
                continue
            start, work_start = perf_counter(), process_time()
            call()
            now = Time(1e3 * (perf_counter() - start), 1e3 * (process_time() - work_start))
            old = best.get(name, now)
            best[name] = Time(min(old.ms, now.ms), min(old.work_ms, now.work_ms))
    return best


def machine(threads: int) -> dict:
    """A row on the machine: number of cores, threads used, and the load average of the last minute."""
    return {"case": "machine", "cores": os.cpu_count(), "threads": threads, "load": round(os.getloadavg()[0], 1)}
