"""Surveys: the facts of every image of a run, computed while nothing else is requested, and kept on disk."""

import json
import os
from collections import OrderedDict
from collections.abc import Generator, Hashable
from dataclasses import asdict
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from app.replay.facts import Facts, image_facts
from app.worker.background import requested
from app.worker.forward_queue import ForwardQueue
from app.worker.object_scores import ObjectScores
from app.worker.samples import Samples
from core.errors import UserError
from core.matching.costs import costs, weighted_sum
from core.runs.open import replay

FORMAT = 3  # of the files; it changes when a fact changes its name or meaning
FILES = 64  # kept on disk, the last used
SURVEYS = 4  # at once: each holds its networks


class Survey:
    """The facts of the images of one run, as far as they are known."""

    def __init__(self, samples: Samples) -> None:
        self.samples, self.total = samples, len(samples.run.data.ids)
        self.known: dict[int, Facts] = {}  # by the image's index in the data
        self.unreadable: set[int] = set()  # indices of images without facts
        self.stopped = False

    @cached_property
    def scores(self) -> ObjectScores:
        """The scores of the objects as a column, which grows with what is known."""
        return ObjectScores(self.samples.columns)

    @property
    def done(self) -> int:
        """The number of images that were looked at."""
        return len(self.known) + len(self.unreadable)

    def object_scores(self) -> Float[ndarray, " t"]:
        """The score of the detection that found each object of `Samples.columns`; NaN where the image is not known yet."""
        return self.scores.upto(self.known)

    def steps(self) -> Generator:
        """Computes the facts of one image after another; the first step reads those from disk."""
        file = folder() / f"{fingerprint(self.samples)}.jsonl"
        self.read(file)
        yield
        for index in range(self.total):
            if self.stopped:
                return
            if index not in self.known:
                self.add(index, file)
                yield

    def add(self, index: int, file: Path) -> None:
        """Computes the facts of one image and appends them to the file."""
        run = self.samples.run
        try:
            sample = run.data[index]
            trace = replay(run, sample)
        except (UserError, FloatingPointError):  # the page reports it when the image is chosen
            self.unreadable.add(index)
            return
        matching = run.distiller.student.matching
        cost = weighted_sum(costs(trace.student.own, trace.targets, matching), matching.weights)
        self.known[index] = image_facts(trace, sample, cost)
        with open(file, "a", encoding="utf-8") as out:
            out.write(json.dumps({"place": index} | asdict(self.known[index])) + "\n")

    def read(self, file: Path) -> None:
        """Takes over the facts that an earlier survey wrote; skips lines that are incomplete."""
        make_room(file.parent)
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []:
            try:
                row: dict[str, Any] = json.loads(line)
                index = row.pop("place")
                values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
                self.known[index] = Facts(**values)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
        if file.exists():
            os.utime(file)

    def mean_instability(self, detector: str = "student") -> list[float]:
        """IS of "student" or "teacher" for each step from layer to layer, the mean over the images known so far."""
        name = f"{detector}_instability"
        rows = [getattr(facts, name) for facts in list(self.known.values())]
        return [sum(step) / len(rows) for step in zip(*rows)] if rows else []


class Surveys:
    """The surveys that were requested last, each of which runs in the background of the queue."""

    def __init__(self, queue: ForwardQueue) -> None:
        self.queue, self.lock = queue, Lock()
        self.surveys: OrderedDict[Hashable, Survey] = OrderedDict()  # by the version of the samples

    def survey(self, samples: Samples) -> Survey:
        """The survey of a run, begun at the first request; the survey that was requested longest ago is stopped."""
        with self.lock:
            return requested(self.surveys, samples, begin=Survey, most=SURVEYS, queue=self.queue)


def folder() -> Path:
    """The folder of the files, in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "detrdistill" / "surveys"


def refuse_unwritable() -> None:
    """Creates the folder. UserError: it cannot be created or written."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        writable = os.access(folder(), os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise UserError(
            f"what is computed of images is kept in {folder()}, which cannot be written; set XDG_CACHE_HOME to another folder"
        )


def make_room(path: Path) -> None:
    """Creates the folder, and removes the files in it that were used longest ago."""
    path.mkdir(parents=True, exist_ok=True)
    for old in sorted(path.glob("*.jsonl"), key=lambda f: f.stat().st_mtime)[:-FILES]:
        old.unlink(missing_ok=True)


def fingerprint(samples: Samples) -> str:
    """A digest of everything that the facts depend on: weights, losses and data."""
    distiller = samples.run.distiller
    digest = sha256(f"{FORMAT} {samples.digest} {distiller.weights} {samples.run.augment}".encode())
    for name, x in distiller.state_dict().items():
        digest.update(name.encode())
        digest.update(x.detach().contiguous().numpy().data)
    return digest.hexdigest()[:32]
