"""Benchmarks: each module in this folder is one, named by its file, and defines `run() -> (rows, aims)`.

The first line of a module's docstring is the benchmark's title in `python -m analysis list`. With QUICK=1 in the environment
most take small sizes. Another checkout of the project can be measured beside this one: its whole benchmark runs first, unless
the module defines `run_beside(checkout) -> (rows, aims)`, which takes turns.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from analysis.catalogue import BENCHES
from core.errors import UserError
from core.files import read_json


@dataclass(frozen=True)
class Aim:
    """An aim of a benchmark, and whether it is met."""

    aim: str  # in words, with its limit
    value: float  # measured
    met: bool


def run(name: str, before: Path | None = None) -> dict:
    """Runs one benchmark: {"name", "rows": [{"case", ...}], "aims": [{"aim", "value", "met"}]}.

    With another checkout, `before`, each row also has that one's numbers for the same case, as "before_...".
    UserError: the other checkout's benchmark failed.
    """
    module = BENCHES.module(name)
    if before and hasattr(module, "run_beside"):
        rows, aims = module.run_beside(before)
    elif before:
        others = {row["case"]: row for row in rows_of(before, name)}
        rows, aims = module.run()
        rows = [row | before_numbers(others.get(row["case"], {})) for row in rows]
    else:
        rows, aims = module.run()
    return {"name": name, "rows": rows, "aims": [asdict(a) for a in aims]}


def rows_of(checkout: Path, name: str) -> list[dict]:
    """The rows of a benchmark of another checkout, run there. UserError: it failed."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        words = [sys.executable, "-m", "analysis", "bench", name, "--json", str(file)]
        done = subprocess.run(words, cwd=checkout, env=os.environ | {"PYTHONPATH": str(checkout.resolve())})
        if done.returncode or not file.exists():
            raise UserError(
                f"the benchmark {name} of {checkout} ended with exit code {done.returncode} and without numbers"
            )
        rows: list[dict] = read_json(file)["rows"]
    return rows


def before_numbers(row: dict) -> dict[str, float]:
    """The numbers of another checkout's row, with "before_" in front of their names."""
    return {f"before_{key}": x for key, x in row.items() if isinstance(x, int | float) and not isinstance(x, bool)}


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


def in_turn(calls: Mapping[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    """Seconds of each call in each turn, after a first turn that does not count. Every other turn goes backwards."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(turns + 1):
        for name in list(calls)[:: -1 if turn % 2 else 1]:
            start = perf_counter()
            calls[name]()
            seconds[name] += [perf_counter() - start] * (turn > 0)
    return seconds


def ratio_numbers(seconds: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """The ratio of both turn by turn: the median under "ratio", and the "lowest" and the "highest"."""
    ratios = [a / b for a, b in zip(seconds, base, strict=True)]
    named = {"ratio": median(ratios), "lowest": min(ratios), "highest": max(ratios)}
    return {name: round(x, 3) for name, x in named.items()}


def machine(threads: int) -> dict:
    """A row on the machine: number of cores, threads used, and the load average of the last minute."""
    return {"case": "machine", "cores": os.cpu_count(), "threads": threads, "load": round(os.getloadavg()[0], 1)}
