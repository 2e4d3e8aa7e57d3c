"""A run, opened to be looked at: the Distiller that trained it replays images, and nothing else does."""

from dataclasses import dataclass
from pathlib import Path

import torch

from core.data.batch import collate
from core.data.coco.dataset import Coco
from core.data.sample import Dataset, Sample
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment, plain
from core.distiller import Distiller, OnDecoded
from core.errors import UserError
from core.runs.checkpoint import Load, load_detector, open_distiller
from core.runs.config import decode
from core.runs.side_by_side import open_alone, open_pair
from core.types import DistillTrace


@dataclass(frozen=True)
class OpenRun:
    """A run folder, or a file of weights, its networks in eval mode, and the images it was measured on."""

    path: Path
    card: dict
    distiller: Distiller
    data: Dataset
    augment: Augment
    notes: tuple[str, ...] = ()  # what whoever looks at it should know, a line each

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.data.categories)


def open_run(
    path: Path,
    data: Path | None = None,
    images: Path | None = None,
    *,
    teacher: Path | None = None,
    load: Load = load_detector,
) -> OpenRun:
    """UserError, in one sentence, where the run or its data cannot be read. `teacher` takes the place of the run's own."""
    distiller, card, notes = open_networks(Path(path), teacher, load)
    card = card if "run" in card else card | {"run": {"data": card.get("data")}}
    if card["run"]["data"] is None:
        raise UserError(f"{path} does not say how its images were made; give a run of `python -m train fit`")
    augment = decode(Augment, card["run"]["data"]["augment"], f"{path}: data.augment")
    return OpenRun(path, card, distiller, open_data(card, path, data, images), augment, notes)


def open_networks(path: Path, teacher: Path | None, load: Load) -> tuple[Distiller, dict, tuple[str, ...]]:
    if teacher is not None:
        return open_pair(path, teacher, load)
    return (*(open_alone(path, load) if path.is_file() else open_distiller(path, load)), ())


def open_data(card: dict, path: Path, data: Path | None = None, images: Path | None = None) -> Dataset:
    """What the run was measured on, or the COCO file given instead of it."""
    asked = card["run"]["data"]
    if data:
        found = Coco(data, images)
    elif asked["kind"] == "shapes":
        found = Shapes(asked.get("part", "val"), asked["val_limit"], asked["size"])
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


@torch.no_grad()
def replay(run: OpenRun, sample: Sample, on_decoded: OnDecoded = lambda who, found: None) -> DistillTrace:
    """The whole step on one image."""
    return run.distiller(*collate([plain(sample, run.augment)]), on_decoded)
