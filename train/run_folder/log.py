"""Writes the log of a run: JSON lines in its folder, a progress line on the terminal, and trackers if the run asks for them."""

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO

import torch

from core.metrics.coco_ap import NUMBERS
from core.runs.results import sum_by_loss
from core.terminal import behind, printable
from train.run import Run
from train.run_folder.trackers import Tracker, open_trackers
from train.score_table import percent

LINE_SECONDS = 5.0  # between progress lines, if the output is not a terminal
FILES = ("metrics.jsonl", "timing.jsonl")


class Log:
    """The log of a run; of several processes only the first one writes and prints.

    metrics.jsonl holds no times, so that equal runs have equal files; timing.jsonl holds the seconds. Each record is appended
    as a whole line. A checkpoint stores `lengths()`, with which `continue_from` cuts the files back after a restart.
    """

    def __init__(self, folder: Path, run: Run, *, steps: int, first: bool = True):
        self.folder, self.run, self.first = folder, run, first
        self.files: dict[str, BinaryIO] = {}
        self.trackers: list[Tracker] = []
        self.display = ProgressDisplay(steps, gpu_memory)

    def continue_from(self, lengths: dict[str, int], step: int) -> None:
        """Opens files and trackers, and drops what was written after the checkpoint with these lengths and this step."""
        if not self.first:
            return
        self.trackers = open_trackers(self.run, self.folder, step)
        for name in FILES:
            file = open(self.folder / name, "ab")
            file.truncate(min(lengths.get(name, 0), file.tell()))
            self.files[name] = file

    def lengths(self) -> dict[str, int]:
        """The length of each file in bytes, once they are on disk. FileNotFoundError: one has been removed."""
        for name, file in self.files.items():
            os.fsync(file.fileno())
            if not os.fstat(file.fileno()).st_nlink:
                raise FileNotFoundError(errno.ENOENT, "removed", str(self.folder / name))
        return {name: os.fstat(file.fileno()).st_size for name, file in self.files.items()}

    def write(self, name: str, record: dict) -> None:
        """Appends a record to one of the FILES."""
        self.files[name].write(json.dumps(record).encode() + b"\n")
        self.files[name].flush()

    def step(self, record: dict, *, seconds: float, waited: float) -> None:
        """Logs a step that took so many seconds, of which it waited some for data."""
        if not self.first:
            return
        self.write("metrics.jsonl", record)
        self.write("timing.jsonl", {"step": record["step"], "seconds": seconds, "data": waited})
        self.display.step(record, seconds=seconds, waited=waited)
        self.track("train", record["step"], {k: record[k] for k in ("lr", "total", "grad_norm")} | record["terms"])

    def scores(self, who: str, scores: dict, *, step: int, epoch: int, seconds: float | None = None) -> None:
        """Logs and prints an evaluation of the "student" or the "teacher"."""
        self.write("metrics.jsonl", {"eval": who, "step": step, "epoch": epoch} | scores)
        if seconds is not None:
            self.write("timing.jsonl", {"eval": who, "step": step, "seconds": seconds})
        self.print(
            f"{who} after epoch {epoch}: {format_scores(scores)}" if epoch else f"{who}: {format_scores(scores)}"
        )
        self.track(who, step, {key: scores[key] for key in NUMBERS})

    def write_event(self, record: dict) -> None:
        """Logs a record that is neither a step nor an evaluation: instability, gradients or a replayed total."""
        if self.first:
            self.write("metrics.jsonl", record)

    def print(self, text: str) -> None:
        """Prints a line."""
        if self.first:
            self.display.print(text)

    def track(self, group: str, step: int, values: dict[str, float | None]) -> None:
        """Sends numbers to the trackers, as GROUP/NAME; those that are None are left out."""
        known = {f"{group}/{name}": value for name, value in values.items() if value is not None}
        for tracker in self.trackers:
            tracker.add_scalars(known, step)

    def __enter__(self) -> "Log":
        if self.first:
            self.display.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.display.__exit__(*error)
        outputs: list[BinaryIO | Tracker] = [*self.files.values(), *self.trackers]
        for output in outputs:
            output.close()


def format_scores(scores: dict) -> str:
    """AP, AP50 and AP75 in one line."""
    return "  ".join(f"{key.upper()} {percent(scores[key]).strip()}" for key in ("ap", "ap50", "ap75"))


class ProgressDisplay:
    """Shows progress: on a terminal in one line that is replaced, otherwise in a new line every LINE_SECONDS."""

    def __init__(self, steps: int, memory: Callable[[], str]):
        """`memory` returns a text about the memory in use, which is part of the line."""
        self.memory = memory
        self.steps, self.printed_at = steps, perf_counter()
        self.step_seconds: float | None = None  # moving average
        self.data_share: float | None = None  # share of the time that is spent waiting for data; moving average
        self.live = live_line()
        self.on_terminal = self.live is not None and self.live.console.is_terminal
        self.task = self.live and self.live.add_task("", total=steps)

    def __enter__(self) -> "ProgressDisplay":
        if self.on_terminal:
            self.live.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self.on_terminal:
            self.live.stop()

    def step(self, record: dict, *, seconds: float, waited: float) -> None:
        """Shows the record of a step that took so many seconds, of which it waited some for data."""
        self.step_seconds = smooth(self.step_seconds, seconds)
        self.data_share = smooth(self.data_share, waited / seconds)
        if self.on_terminal:
            self.live.update(self.task, completed=record["step"], description=self.line(record))
        elif perf_counter() - self.printed_at > LINE_SECONDS:
            self.printed_at = perf_counter()
            self.print(self.line(record))

    def line(self, record: dict) -> str:
        """The progress line: place, speed, time left, share of time spent waiting for data, memory and losses."""
        assert self.step_seconds is not None, "a line is of a step"
        left = (self.steps - record["step"]) * self.step_seconds
        terms = "  ".join(f"{name} {format_number(value)}" for name, value in sum_by_loss(record["weighted"]).items())
        return (
            f"epoch {record['epoch']}  step {record['step']}/{self.steps}  {1 / self.step_seconds:.1f} it/s  "
            f"{format_time(left)} left  data {self.data_share:.0%}{self.memory()}  "
            f"total {format_number(record['total'])}  {terms}{format_pseudo(record.get('pseudo'))}"
        )

    def print(self, text: str) -> None:
        """Prints a line above the progress line."""
        if self.on_terminal:
            self.live.console.print(printable(text, keep="\n\t"), markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, flush=True)


def live_line() -> Any:
    """A progress line of rich that is replaced; None without rich, which a machine that only trains need not have."""
    try:
        from rich.console import Console
        from rich.progress import Progress, TextColumn
        from rich.table import Column
    except ImportError:
        return None
    text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    return Progress(text, console=Console(file=behind(sys.stdout)), transient=True, refresh_per_second=4)


def format_pseudo(counts: dict | None) -> str:
    """The number of pseudo objects in an image of a step, as text; "" where every image has labels."""
    if not counts or not counts["images"]:
        return ""
    return f"  pseudo {counts['objects'] / counts['images']:.1f} an image"


def format_number(value: float | None) -> str:
    """A number with three digits; - for None, which stands for NaN."""
    return "-" if value is None else f"{value:.3g}"


def gpu_memory() -> str:
    """The peak of this process's GPU memory and the GPU's total, as text; "" without a GPU."""
    if not torch.cuda.is_available():
        return ""
    return f"  gpu {torch.cuda.max_memory_allocated() / 2**30:.1f}/{torch.cuda.mem_get_info()[1] / 2**30:.0f} GB"


def smooth(old: float | None, new: float) -> float:
    """An exponential moving average with decay 0.95; None before the first value."""
    return new if old is None else 0.95 * old + 0.05 * new


def format_time(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
