"""A run, opened to be looked at: the Distiller that trained it replays one image at a time, and nothing else does."""

from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import torch

from app.memory import Memory
from core.checkpoint import open_distiller
from core.config import decode
from core.data.batch import collate
from core.data.coco import Coco
from core.data.sample import Dataset, Sample
from core.data.shapes import Shapes
from core.data.transforms import Augment, plain
from core.detections import select
from core.distiller import Distiller
from core.errors import UserError
from core.types import DistillTrace

BUDGET = 1 << 30  # bytes of traces


@dataclass(frozen=True)
class Run:
    """A run folder, its networks in eval mode, and the images it was measured on."""

    path: Path
    card: dict
    distiller: Distiller
    data: Dataset
    augment: Augment
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
    distiller, card = open_distiller(path)
    augment = decode(Augment, card["run"]["data"]["augment"], f"{path / 'card.json'}: run.data.augment")
    return Run(path, card, distiller, open_data(card, path, data, images), augment)


def open_data(card: dict, path: Path, data: Path | None, images: Path | None) -> Dataset:
    """What the run was measured on, or the COCO file given instead of it."""
    asked = card["run"]["data"]
    if data:
        found = Coco(data, images)
    elif asked["kind"] == "shapes":
        found = Shapes("val", asked["val_limit"], asked["size"])
    elif not asked["val"]:
        raise UserError(f"{path} does not say which images to show; give --data INSTANCES.json --images FOLDER")
    else:
        found = Coco(Path(asked["val"]), asked["images"] and Path(asked["images"]), asked["val_limit"])
    theirs, ours = [c["name"] for c in card["categories"]], [c.name for c in found.categories]
    if theirs != ours:
        source = data or "its data"
        raise UserError(
            f"{path} knows the classes {theirs}, but {source} has {ours}; give --data with the same classes"
        )
    return found


def replay(run: Run, sample: Sample) -> DistillTrace:
    """The whole step on this image, remembered by what is in it."""
    return run.memory.get(digest(sample), lambda: step(run, sample))


@torch.no_grad()
def step(run: Run, sample: Sample) -> DistillTrace:
    return run.distiller(*collate([plain(sample, run.augment)]))


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
