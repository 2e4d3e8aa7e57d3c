"""Opens a run for analysis and the app; its images are replayed by the Distiller that trained it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import torch

from core.data.batch import collate
from core.data.coco.dataset import Coco
from core.data.sample import Dataset, Sample
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment, eval_transform
from core.data.unlabelled.pictures import Pictures
from core.distiller import Distiller, OnDecoded
from core.errors import UserError
from core.limits import Count, Limits, Size, refuse_outside
from core.runs.checkpoint import Load, load_detector, open_distiller
from core.runs.class_mapping import categories_of
from core.runs.config import decode
from core.runs.side_by_side import open_alone, open_pair
from core.types import DistillTrace


@dataclass(frozen=True)
class ShownData:
    """The fields of a card's data that its validation images are opened with; `Data` of train/run.py describes them."""

    kind: Literal["shapes", "coco"] = "shapes"
    folder: Path | None = None
    val: Path | None = None
    images: Path | None = None
    val_limit: Count | None = None
    size: Size = 96
    seed: Annotated[int, Limits(0, 2**63 - 1)] = 0
    part: Literal["val", "test"] = "val"
    augment: Augment = Augment()


@dataclass(frozen=True)
class OpenRun:
    """A run or a file of weights: its networks in eval mode, and its validation images."""

    path: Path
    card: dict
    distiller: Distiller
    data: Dataset
    augment: Augment
    notes: tuple[str, ...] = ()  # what the viewer should know about it, one line each

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(c.name for c in self.data.categories)


def open_run(
    path: Path,
    data: Path | None = None,
    images: Path | None = None,
    *,
    pictures: Path | None = None,
    teacher: Path | None = None,
    load: Load = load_detector,
) -> OpenRun:
    """Opens a run's folder or a file of weights, with its validation images or others.

    `data` is an instances JSON, and `images` its folder or that of the run's own images; or `pictures` is a folder of images
    without annotations. `teacher` replaces the run's teacher. UserError: the run or its data cannot be read.
    """
    distiller, card, notes = open_networks(Path(path), teacher, load)
    card = card if "run" in card else card | {"run": {"data": card.get("data")}}
    if card["run"]["data"] is None:
        raise UserError(f"{path} does not say how its images were made; give a run of `python -m train fit`")
    trained = data_of(card["run"]["data"], path)
    shown = Pictures(pictures, categories_of(card, path)) if pictures else open_data(trained, card, path, data, images)
    return OpenRun(path, card, distiller, shown, trained.augment, notes)


def open_networks(path: Path, teacher: Path | None, load: Load) -> tuple[Distiller, dict, tuple[str, ...]]:
    """The Distiller of a run, of a file of weights, or of a student with another teacher; the card; and notes."""
    if teacher is not None:
        return open_pair(path, teacher, load)
    return (*(open_alone(path, load) if path.is_file() else open_distiller(path, load)), ())


def open_data(trained: ShownData, card: dict, path: Path, data: Path | None, images: Path | None) -> Dataset:
    """The validation images of a run, or those of the COCO file `data`, from the folder `images` if it is given.

    UserError: their classes are not the run's, or `images` would not be read.
    """
    dataset: Dataset
    if data:
        dataset = Coco(data, images)
    elif trained.kind == "shapes":
        refuse_unread(images, path)
        dataset = Shapes(trained.part, trained.val_limit, trained.size, trained.seed, painted=False)
    elif not (source := trained.val or trained.folder):
        raise UserError(f"{path} does not say which images to show; give --data INSTANCES.json --images FOLDER")
    else:
        dataset = Coco(source, images or trained.images, trained.val_limit)
    categories = categories_of(card, path)
    if isinstance(dataset, Coco):
        return dataset.relabelled(categories, str(path))
    learnt, present = [c.name for c in categories], [c.name for c in dataset.categories]
    if learnt != present:
        raise UserError(
            f"{path} knows the classes {learnt}, but its data has {present}; give --data with the same classes"
        )
    return dataset


def refuse_unread(images: Path | None, path: Path) -> None:
    """UserError: a folder of images is given without a file, for a run `path` whose images are generated."""
    if images:
        raise UserError(f"--images {images} would not be read, since the images of {path} are generated; add --data")


@torch.no_grad()
def replay(run: OpenRun, sample: Sample, on_decoded: OnDecoded = lambda detector, decoded: None) -> DistillTrace:
    """Computes the distillation step on one image without augmentation; `on_decoded` gets each detector's part early."""
    return run.distiller(*collate([eval_transform(sample, run.augment)]), on_decoded)


def data_of(data: Any, where: object) -> ShownData:
    """The validation images of a card, and how they are resized; `data` is its entry of that name, and `where` its file.

    UserError: a field has another type, or is outside its limits.
    """
    names = {f.name for f in fields(ShownData)}
    known = {key: value for key, value in data.items() if key in names} if isinstance(data, dict) else data
    shown: ShownData = decode(ShownData, known, f"{where}: data")
    refuse_outside(shown, f"{where}: data.")
    return shown
