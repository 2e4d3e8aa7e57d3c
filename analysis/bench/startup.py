"""The start of each program: the first step of training, the page of the app, and a figure.

Each command runs three times, in turns with a program that only imports torch and makes an optimiser, which no training can do
without. A command ends when it has logged its first step (`fit shapes`), answered with its page (`app`), or written its files
(`figure4` of the shipped run). Rows have median seconds on the wall and of the processor; `own_seconds` is what the processor
does beyond torch. `python -X importtime -m train list` and the like say where they go. With `--before CHECKOUT` the commands of
another checkout take turns with these.
"""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from statistics import median
from subprocess import PIPE, STDOUT, Popen
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any
from urllib.request import urlopen

from analysis.bench import Aim, machine
from core.project import ROOT

TURNS = 3
SHIPPED = str(ROOT / "assets" / "runs" / "shapes_distill")
TORCH = "import torch; torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])"
POLL = 0.02  # seconds
ADDRESS = re.compile(rb"http://127\.0\.0\.1:\d+")


@dataclass(frozen=True)
class Start:
    """A command, and how to wait until it has started, given its process and the folder in which it runs."""

    words: tuple[str, ...]
    wait: Callable[["Popen[bytes]", Path], None]


def run() -> tuple[list[dict], list[Aim]]:
    """Times all commands in turns; there is no aim, since the share of other packages cannot be chosen here."""
    return timed_in_turns({"": ROOT})


def run_beside(checkout: Path) -> tuple[list[dict], list[Aim]]:
    """Times all commands of this and of another checkout in turns."""
    return timed_in_turns({"": ROOT, "before_": checkout})


def timed_in_turns(checkouts: dict[str, Path]) -> tuple[list[dict], list[Aim]]:
    """Times all commands of each checkout, whose prefix stands before the names of its numbers."""
    turns = 1 if os.environ.get("QUICK") == "1" else TURNS
    times = {(name, prefix): list[tuple[float, float]]() for name in STARTS for prefix in checkouts}
    for _ in range(turns):
        for (name, prefix), seconds in times.items():
            seconds.append(timed(STARTS[name], checkouts[prefix]))
    rows = {name: dict[str, Any](case=name) for name in STARTS}
    for (name, prefix), seconds in times.items():
        torch_seconds = median(work for _, work in times["torch", prefix])
        rows[name] |= {prefix + key: x for key, x in medians(seconds, torch_seconds).items()}
    return [machine(1), *rows.values()], []


def medians(times: list[tuple[float, float]], torch_seconds: float) -> dict[str, float]:
    """Medians of the seconds of a command on the wall and of the processor, and what is not torch's."""
    wall, work = (median(x) for x in zip(*times, strict=True))
    seconds = {"seconds": wall, "work_seconds": work, "own_seconds": work - torch_seconds}
    return {key: round(x, 2) for key, x in seconds.items()}


def timed(start: Start, checkout: Path = ROOT) -> tuple[float, float]:
    """Seconds until the command of a checkout has started, on the wall and of the processor; then the command is stopped.

    RuntimeError: it ended with a failure.
    """
    with TemporaryDirectory() as folder:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "QUICK": "1", "PYTHONPATH": str(checkout)}
        begun = perf_counter()
        process = Popen([sys.executable, *start.words], cwd=folder, env=environment, stdout=PIPE, stderr=STDOUT)
        start.wait(process, Path(folder))
        wall = perf_counter() - begun
        os.kill(process.pid, SIGKILL)  # Popen.kill would take the usage of a process that has ended
        assert process.stdout is not None, "the output is a pipe"
        process.stdout.close()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode > 0:
            raise RuntimeError(f"{' '.join(start.words)} ended with exit code {process.returncode}")
    return wall, used.ru_utime + used.ru_stime


def until_the_end(process: "Popen[bytes]", folder: Path) -> None:
    """Waits until the command ends, and leaves its exit code to be read."""
    assert process.stdout is not None, "the output is a pipe"
    process.stdout.read()


def until_the_first_step(process: "Popen[bytes]", folder: Path) -> None:
    """Waits for the first record of a step in the log of the run, or for the end of the command."""
    log = folder / "runs" / "shapes" / "metrics.jsonl"
    while not (log.exists() and '"terms"' in log.read_text()) and running(process):
        sleep(POLL)


def until_the_page_answers(process: "Popen[bytes]", folder: Path) -> None:
    """Waits for the address that the app prints, and takes the page there."""
    assert process.stdout is not None, "the output is a pipe"
    for line in process.stdout:
        if address := ADDRESS.search(line):
            with urlopen(address[0].decode()) as page:
                page.read()
            return


def running(process: "Popen[bytes]") -> bool:
    """Returns whether the process has not ended; it stays to be waited for."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


STARTS = {
    "torch": Start(("-c", TORCH), until_the_end),
    "fit shapes, first step": Start(("-m", "train", "fit", "shapes"), until_the_first_step),
    "app, page": Start(("-m", "app", SHIPPED, "--port", "0"), until_the_page_answers),
    "figure4": Start(("-m", "analysis", "figure4", SHIPPED), until_the_end),
}
