"""The progress of a training, read from the log that it writes."""

import json
from pathlib import Path
from threading import Lock
from time import time

from core.data.shapes.dataset import COUNTS
from core.errors import UserError
from core.files import read_json
from core.runs.results import sum_by_loss

POINTS = 400  # of a curve, at most
FRESH = 45.0  # seconds without a new line after which a run is taken to have stopped


class Log:
    """A run's metrics.jsonl, of which only new lines are read, as curves of few points."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, Lock()
        self.clear()

    def clear(self) -> None:
        """Forgets all that was read."""
        self.offset = 0  # bytes that were read
        self.every, self.step_count = 1, 0  # one step of so many is kept
        self.steps: list[dict] = []
        self.last: dict = {}  # step
        self.ap: dict[str, list] = {}  # (epoch, AP), by detector
        self.instability: dict[str, list] = {}  # (epoch, IS), by detector

    def read(self) -> None:
        """Reads the lines written since the last call; all lines if the file got shorter, as when a run is resumed."""
        with self.lock:
            if not self.path.is_file():
                return
            if self.path.stat().st_size < self.offset:
                self.clear()
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read()
            whole_lines = data.rfind(b"\n") + 1
            self.offset += whole_lines
            for line in data[:whole_lines].splitlines():
                self.add_line(line)

    def add_line(self, line: bytes) -> None:
        """Adds one line to the curves; a line that is no JSON is skipped."""
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(row, dict):
            return
        if "eval" in row:
            self.ap.setdefault(row["eval"], []).append((row["epoch"], row["ap"]))
        elif "instability" in row:
            self.instability.setdefault(row["instability"], []).append((row["epoch"], row["mean"]))
        elif "weighted" in row:
            self.add_step(row)

    def add_step(self, row: dict) -> None:
        """Adds a step to the loss curves; once they have too many points, every second one is dropped."""
        self.last = row
        if self.step_count % self.every == 0:
            self.steps.append({"step": row["step"], "total": row["total"]} | sum_by_loss(row["weighted"]))
        self.step_count += 1
        if len(self.steps) > POINTS:
            self.steps, self.every = self.steps[::2], self.every * 2


def report(folder: Path, log: Log) -> dict:
    """How far a run is, and its curves so far. UserError: the folder is not that of a run."""
    card = read_json(folder / "card.json")
    if not isinstance(card, dict) or "optim" not in card.get("run", {}):
        raise UserError(f"{folder / 'card.json'} is not the card of a run")
    log.read()
    epochs, step = card["run"]["optim"]["epochs"], log.last.get("step", 0)
    finished = bool(log.ap.get("student")) and log.ap["student"][-1][0] >= epochs
    age = time() - log.path.stat().st_mtime if log.path.exists() else 0.0
    return {
        "epochs": epochs,
        "epoch": log.last.get("epoch", 0),
        "step": step,
        "steps": total_steps(card["run"], epochs),
        "state": "finished" if finished else "running" if age < FRESH else "stopped",
        "losses": [name for name in (log.steps[-1] if log.steps else {}) if name not in ("step", "total")],
        "curve": log.steps,
        "ap": log.ap,
        "instability": log.instability,
    }


def total_steps(run: dict, epochs: int) -> int | None:
    """The steps of the whole training; None where the number of images is not known without the data."""
    data = run["data"]
    images = data["train_limit"] or (COUNTS["train"] if data["kind"] == "shapes" else None)
    return None if images is None else epochs * -(-images // run["optim"]["batch"])
