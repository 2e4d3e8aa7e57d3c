"""A run on the page: what was replayed lately is remembered."""

from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import core.replay
from app.memory import Memory
from core.data.batch import collate
from core.data.sample import Sample
from core.detections import select
from core.errors import UserError
from core.types import DistillTrace

BUDGET = 1 << 30  # bytes of traces


@dataclass(frozen=True)
class Run(core.replay.Opened):
    memory: Memory = field(default_factory=lambda: Memory(BUDGET))


def find_run(runs: Path = Path("runs"), shipped: Path = Path("assets/runs/shapes_distill")) -> Path:
    """The run that was written to last, else the shipped one."""
    found = [card.parent for card in runs.glob("**/card.json") if (card.parent / "student.safetensors").exists()]
    newest = max(found, key=lambda run: (run / "student.safetensors").stat().st_mtime, default=shipped)
    if not (newest / "card.json").exists():
        raise UserError(f"there is no run under {runs}/ yet; type `make demo`, or give the folder of a run")
    return newest


def open_run(path: Path, data: Path | None = None, images: Path | None = None) -> Run:
    """UserError, in one sentence, where the run or its data cannot be read."""
    return Run(**vars(core.replay.open_run(path, data, images)))


def replay(run: Run, sample: Sample) -> DistillTrace:
    """The whole step on this image, remembered by what is in it."""
    return run.memory.get(digest(sample), lambda: core.replay.step(run, sample))


def digest(sample: Sample) -> str:
    parts = sample.pixels, sample.boxes, sample.labels
    return sha256(b"".join(repr(x.shape).encode() + x.contiguous().numpy().tobytes() for x in parts)).hexdigest()


def pseudo(run: Run, sample: Sample, score: float) -> Sample:
    """The sample with the teacher's queries of the last layer that score at least `score` as its truth."""
    trace = replay(run, sample)
    images, _ = collate([replace(sample, original=sample.size)])
    found = select(trace.teacher.own, images)
    kept, seen = [], set()
    for place, (query, value) in enumerate(zip(found.queries.tolist(), found.scores.tolist())):
        if value >= score and query not in seen:
            seen.add(query)
            kept.append(place)
    return replace(sample, boxes=found.boxes[kept], labels=found.labels[kept])
