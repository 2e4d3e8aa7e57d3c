"""A run, opened to be looked at: the Distiller that trained it replays images, and nothing else does."""

from dataclasses import dataclass
from pathlib import Path

import torch

from core.checkpoint import open_distiller
from core.config import decode
from core.data.batch import collate
from core.data.coco import Coco
from core.data.sample import Dataset, Sample
from core.data.shapes import Shapes
from core.data.transforms import Augment, plain
from core.distiller import Distiller
from core.errors import UserError
from core.types import DistillTrace


@dataclass(frozen=True)
class Opened:
    """A run folder, its networks in eval mode, and the images it was measured on."""

    path: Path
    card: dict
    distiller: Distiller
    data: Dataset
    augment: Augment


def open_run(path: Path, data: Path | None = None, images: Path | None = None) -> Opened:
    """UserError, in one sentence, where the run or its data cannot be read."""
    distiller, card = open_distiller(path)
    augment = decode(Augment, card["run"]["data"]["augment"], f"{path / 'card.json'}: run.data.augment")
    return Opened(path, card, distiller, open_data(card, path, data, images), augment)


def open_data(card: dict, path: Path, data: Path | None = None, images: Path | None = None) -> Dataset:
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


@torch.no_grad()
def step(run: Opened, sample: Sample) -> DistillTrace:
    """The whole step on one image."""
    return run.distiller(*collate([plain(sample, run.augment)]))
