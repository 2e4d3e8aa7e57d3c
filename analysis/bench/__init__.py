"""Each module in this folder is one benchmark, and its file's name is its name: `run()` -> (rows, aims)."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import perf_counter, process_time

from analysis.catalogue import BENCHES


@dataclass(frozen=True)
class Aim:
    aim: str
    value: float
    met: bool


def run(name: str) -> dict:
    """Runs one benchmark: {"name", "rows": [{"case", ...}], "aims": [{"aim", "value", "met"}]}."""
    rows, aims = BENCHES.module(name).run()
    return {"name": name, "rows": rows, "aims": [asdict(a) for a in aims]}


@dataclass(frozen=True)
class Time:
    """Of the fastest call; `work` is the processor time of all threads, which other programs' load hardly changes."""

    ms: float
    work_ms: float


def fastest(ways: dict[str, Callable], *, times: int, once: frozenset[str] = frozenset()) -> dict[str, Time]:
    """Each way's least time of several, one after another in turn; those named in `once` are slow, and called once."""
    best = {}
    for turn in range(times):
        for name, way in ways.items():
            if turn and name in once:
                continue
            begun, worked = perf_counter(), process_time()
            way()
            now = Time(1e3 * (perf_counter() - begun), 1e3 * (process_time() - worked))
            old = best.get(name, now)
            best[name] = Time(min(old.ms, now.ms), min(old.work_ms, now.work_ms))
    return best


def machine(threads: int) -> dict:
    """A row that says on how many threads of how many cores, and how busy other programs kept these."""
    return {"case": "machine", "cores": os.cpu_count(), "threads": threads, "load": round(os.getloadavg()[0], 1)}
