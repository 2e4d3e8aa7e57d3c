"""What a run says: one JSON line a step, a progress line, and TensorBoard on request."""

import json
import os
import sys
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Column

from core.detectors import name_of
from core.evaluate import NUMBERS
from train.build import Job
from train.score import percent

EVERY = 5.0  # seconds between lines where there is no terminal
FILES = ("metrics.jsonl", "timing.jsonl")


class Log:
    """Lines are appended, each whole; `lengths()` and `go_on()` let a resumed run go on from its checkpoint.

    metrics.jsonl has no clock in it, so that equal runs have equal files; timing.jsonl has the seconds.
    """

    def __init__(self, folder: Path, *, steps: int, tensorboard: bool):
        self.folder, self.tensorboard = folder, tensorboard
        self.files, self.board = {}, None
        self.screen = Screen(steps)

    def go_on(self, lengths: dict[str, int], step: int) -> None:
        """Forget what was written after the checkpoint, which was taken at these lengths and this step."""
        if self.tensorboard:
            self.board = open_board(self.folder / "tensorboard", step)
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
        self.write("metrics.jsonl", record)
        self.write("timing.jsonl", {"step": record["step"], "seconds": seconds, "data": waited})
        self.screen.step(record, seconds=seconds, waited=waited)
        self.draw("train", record["step"], {k: record[k] for k in ("lr", "total", "grad_norm")} | record["terms"])

    def scores(self, who: str, scores: dict, *, step: int, epoch: int, seconds: float | None = None) -> None:
        self.write("metrics.jsonl", {"eval": who, "step": step, "epoch": epoch} | scores)
        if seconds is not None:
            self.write("timing.jsonl", {"eval": who, "step": step, "seconds": seconds})
        if epoch:
            self.screen.say(f"{who} after epoch {epoch}: {brief(scores)}")
        self.draw(who, step, {key: scores[key] for key in NUMBERS})

    def witness(self, found: dict, *, step: int, epoch: int) -> None:
        self.write("metrics.jsonl", {"witness": found["image"], "total": found["total"], "step": step, "epoch": epoch})

    def draw(self, group: str, step: int, values: dict[str, float]) -> None:
        for name, value in values.items() if self.board else ():
            if value is not None:
                self.board.add_scalar(f"{group}/{name}", value, step)

    def __enter__(self) -> "Log":
        self.screen.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self.screen.__exit__(*error)
        for closing in [*self.files.values(), *([self.board] if self.board else [])]:
            closing.close()


def open_board(folder: Path, step: int):
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and few ask for it

    return SummaryWriter(folder, purge_step=step + 1)


def summary(job: Job, path: Path, teacher: dict | None) -> str:
    """What is about to happen, in a few lines."""
    run, student, classes = job.run, job.distiller.student, [c.name for c in job.val.categories]
    size = sum(p.numel() for p in student.parameters()) / 1e6
    lines = {
        "run": f"{path}, on {job.device.type}",
        "student": f"{name_of(run.student)} on {run.student.backbone}, {size:.1f} M parameters",
        "teacher": teacher and f"{run.teacher}, {brief(teacher)}",
        "losses": ", ".join(job.distiller.losses),
        "note": "; ".join(note for loss in job.distiller.losses.values() for note in loss.notes),
        "data": f"{len(job.loader.dataset)} images to learn from, {len(job.val)} to be measured on",
        "classes": f"{len(classes)}: {', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}",
        "training": f"{run.optim.epochs} epochs of {len(job.loader)} steps, {run.optim.batch} images a step",
    }
    return "\n".join(f"{title:<9} {text}" for title, text in lines.items() if text)


def brief(scores: dict) -> str:
    return "  ".join(f"{key.upper()} {percent(scores[key]).strip()}" for key in ("ap", "ap50", "ap75"))


class Screen:
    """One line that changes on a terminal; elsewhere a line every few seconds."""

    def __init__(self, steps: int):
        self.steps, self.pace, self.share, self.spoken = steps, None, 0.0, perf_counter()
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
        terms = "  ".join(f"{name} {value:.3g}" for name, value in by_loss(record["weighted"]).items())
        return (
            f"epoch {record['epoch']}  step {record['step']}/{self.steps}  {1 / self.pace:.1f} it/s  "
            f"{clock(left)} left  data {self.share:.0%}  total {record['total']:.3g}  {terms}"
        )

    def say(self, text: str) -> None:
        if self.shown:
            self.live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, flush=True)


def by_loss(terms: dict[str, float]) -> dict[str, float]:
    """Terms named loss/map, summed for each loss."""
    sums = {}
    for name, value in terms.items():
        loss = name.split("/")[0]
        sums[loss] = sums.get(loss, 0.0) + value
    return sums


def smooth(old: float | None, new: float) -> float:
    return new if old is None else 0.95 * old + 0.05 * new


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
