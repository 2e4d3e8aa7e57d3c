"""What a run says: one JSON line a step, a progress line, and curves elsewhere on request."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Column

from core.metrics.coco_ap import NUMBERS
from core.runs.results import sum_by_loss
from train.run import Run
from train.run_folder.trackers import open_boards
from train.score_table import percent

EVERY = 5.0  # seconds between lines where there is no terminal
FILES = ("metrics.jsonl", "timing.jsonl")


class Log:
    """Lines are appended, each whole; `lengths()` and `go_on()` let a resumed run go on from its checkpoint.

    metrics.jsonl has no clock in it, so that equal runs have equal files; timing.jsonl has the seconds.
    Of several processes the first alone says anything.
    """

    def __init__(self, folder: Path, run: Run, *, steps: int, first: bool = True):
        self.folder, self.run, self.first = folder, run, first
        self.files, self.boards = {}, []
        self.screen = Screen(steps, gpu_memory)

    def go_on(self, lengths: dict[str, int], step: int) -> None:
        """Forget what was written after the checkpoint, which was taken at these lengths and this step."""
        if not self.first:
            return
        self.boards = open_boards(self.run, self.folder, step)
        for name in FILES:
            file = open(self.folder / name, "ab")
            file.truncate(min(lengths.get(name, 0), file.tell()))
            self.files[name] = file

    def lengths(self) -> dict[str, int]:
        for file in self.files.values():
            os.fsync(file.fileno())
        return {name: os.fstat(file.fileno()).st_size for name, file in self.files.items()}

    def write(self, name: str, record: dict) -> None:
        self.files[name].write(json.dumps(record).encode() + b"\n")
        self.files[name].flush()

    def step(self, record: dict, *, seconds: float, waited: float) -> None:
        if not self.first:
            return
        self.write("metrics.jsonl", record)
        self.write("timing.jsonl", {"step": record["step"], "seconds": seconds, "data": waited})
        self.screen.step(record, seconds=seconds, waited=waited)
        self.draw("train", record["step"], {k: record[k] for k in ("lr", "total", "grad_norm")} | record["terms"])

    def scores(self, who: str, scores: dict, *, step: int, epoch: int, seconds: float | None = None) -> None:
        self.write("metrics.jsonl", {"eval": who, "step": step, "epoch": epoch} | scores)
        if seconds is not None:
            self.write("timing.jsonl", {"eval": who, "step": step, "seconds": seconds})
        self.say(f"{who} after epoch {epoch}: {brief(scores)}" if epoch else f"{who}: {brief(scores)}")
        self.draw(who, step, {key: scores[key] for key in NUMBERS})

    def note(self, record: dict) -> None:
        """What is neither a step nor its scores."""
        if self.first:
            self.write("metrics.jsonl", record)

    def say(self, text: str) -> None:
        if self.first:
            self.screen.say(text)

    def draw(self, group: str, step: int, values: dict[str, float]) -> None:
        there = {f"{group}/{name}": value for name, value in values.items() if value is not None}
        for board in self.boards:
            board.add_scalars(there, step)

    def __enter__(self) -> "Log":
        if self.first:
            self.screen.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self.screen.__exit__(*error)
        for closing in [*self.files.values(), *self.boards]:
            closing.close()


def brief(scores: dict) -> str:
    return "  ".join(f"{key.upper()} {percent(scores[key]).strip()}" for key in ("ap", "ap50", "ap75"))


class Screen:
    """One line that changes on a terminal; elsewhere a line every few seconds."""

    def __init__(self, steps: int, memory: Callable[[], str]):
        self.memory = memory
        self.steps, self.spoken = steps, perf_counter()
        self.pace: float | None = None
        self.share: float | None = None
        text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
        self.live = Progress(text, console=Console(file=sys.stdout), transient=True, refresh_per_second=4)
        self.shown = self.live.console.is_terminal
        self.task = self.live.add_task("", total=steps)

    def __enter__(self) -> "Screen":
        if self.shown:
            self.live.start()
        return self

    def __exit__(self, *error) -> None:
        if self.shown:
            self.live.stop()

    def step(self, record: dict, *, seconds: float, waited: float) -> None:
        self.pace = smooth(self.pace, seconds)
        self.share = smooth(self.share, waited / seconds)
        if self.shown:
            self.live.update(self.task, completed=record["step"], description=self.line(record))
        elif perf_counter() - self.spoken > EVERY:
            self.spoken = perf_counter()
            self.say(self.line(record))

    def line(self, record: dict) -> str:
        left = (self.steps - record["step"]) * self.pace
        terms = "  ".join(f"{name} {number(value)}" for name, value in sum_by_loss(record["weighted"]).items())
        return (
            f"epoch {record['epoch']}  step {record['step']}/{self.steps}  {1 / self.pace:.1f} it/s  "
            f"{clock(left)} left  data {self.share:.0%}{self.memory()}  total {number(record['total'])}  {terms}"
        )

    def say(self, text: str) -> None:
        if self.shown:
            self.live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, flush=True)


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def gpu_memory() -> str:
    """The most that was in use, of what there is."""
    if not torch.cuda.is_available():
        return ""
    return f"  gpu {torch.cuda.max_memory_allocated() / 2**30:.1f}/{torch.cuda.mem_get_info()[1] / 2**30:.0f} GB"


def smooth(old: float | None, new: float) -> float:
    return new if old is None else 0.95 * old + 0.05 * new


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
