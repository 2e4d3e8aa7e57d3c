"""How a training goes, from the log that it writes."""

import json
from pathlib import Path
from threading import Lock
from time import time

from core.data.shapes.dataset import COUNTS
from core.errors import UserError
from core.files import read_json
from core.runs.results import sum_by_loss

POINTS = 400  # of a curve, at most
FRESH = 45.0  # seconds after which a log that nobody writes to is that of a run that stopped


class Log:
    """What a run's metrics.jsonl says, read on from where it was read last; curves of few points."""

    def __init__(self, path: Path):
        self.path, self.lock = path, Lock()
        self.forget()

    def forget(self) -> None:
        self.offset, self.every, self.seen = 0, 1, 0
        self.steps: list[dict] = []  # every so many
        self.last: dict = {}
        self.scores: dict[str, list] = {}
        self.unstable: dict[str, list] = {}

    def read(self) -> None:
        """A log that got shorter, as a resumed run cuts it, is read anew."""
        with self.lock:
            if not self.path.is_file():
                return
            if self.path.stat().st_size < self.offset:
                self.forget()
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read()
            whole = data.rfind(b"\n") + 1
            self.offset += whole
            for line in data[:whole].splitlines():
                self.take(line)

    def take(self, line: bytes) -> None:
        try:
            record = json.loads(line)
        except ValueError:
            return
        if "eval" in record:
            self.scores.setdefault(record["eval"], []).append((record["epoch"], record["ap"]))
        elif "instability" in record:
            self.unstable.setdefault(record["instability"], []).append((record["epoch"], record["mean"]))
        elif "weighted" in record:
            self.step(record)

    def step(self, record: dict) -> None:
        self.last = record
        if self.seen % self.every == 0:
            self.steps.append({"step": record["step"], "total": record["total"]} | sum_by_loss(record["weighted"]))
        self.seen += 1
        if len(self.steps) > POINTS:
            self.steps, self.every = self.steps[::2], self.every * 2


def report(folder: Path, log: Log) -> dict:
    """Where a run is, and its curves so far. UserError: it is no run."""
    card = read_json(folder / "card.json")
    if not isinstance(card, dict) or "optim" not in card.get("run", {}):
        raise UserError(f"{folder / 'card.json'} is not the card of a run")
    log.read()
    epochs, step = card["run"]["optim"]["epochs"], log.last.get("step", 0)
    over = bool(log.scores.get("student")) and log.scores["student"][-1][0] >= epochs
    age = time() - log.path.stat().st_mtime if log.path.exists() else 0.0
    return {
        "epochs": epochs,
        "epoch": log.last.get("epoch", 0),
        "step": step,
        "steps": whole(card["run"], epochs),
        "state": "finished" if over else "running" if age < FRESH else "stopped",
        "losses": [name for name in (log.steps[-1] if log.steps else {}) if name not in ("step", "total")],
        "curve": log.steps,
        "ap": log.scores,
        "instability": log.unstable,
    }


def whole(run: dict, epochs: int) -> int | None:
    """Steps of the whole training; None where only the data could tell."""
    data = run["data"]
    images = data["train_limit"] or (COUNTS["train"] if data["kind"] == "shapes" else None)
    return None if images is None else epochs * -(-images // run["optim"]["batch"])
