"""Opens the teacher store of a run, or of the command `store`: which teacher, which classes, which size."""

from dataclasses import dataclass
from pathlib import Path

import torch

from core.data.sample import Dataset
from core.data.transforms import Augment
from core.detectors.base import Detector
from core.errors import UserError
from core.limits import Count, Workers
from core.runs.checkpoint import load_detector, sha256_of, weights_file
from core.runs.class_mapping import map_classes
from core.runs.last_layer import LastLayer
from core.runs.open import data_of
from train.job.build import Job, resolve_path, store_folder, teacher_class_map
from train.job.images import training_images
from train.job.memory import format_bytes
from train.job.store import Layers, Precision, StoreSettings, TeacherStore, bytes_per_image
from train.run import Data, Pseudo, Run


@dataclass(frozen=True)
class OpenStore:
    """A store with the teacher that completes it."""

    store: TeacherStore
    teacher: Detector
    augment: Augment  # how the teacher sees an image

    def complete(self, batch: int, workers: int) -> str:
        """Asks the teacher for what is missing, and compares the store with it; returns the result as text."""
        self.store.complete(self.teacher, self.augment, batch=batch, workers=workers)
        return self.store.check(self.teacher, self.augment)

    @property
    def size_text(self) -> str:
        """The size of the store on disk for 1,000 images, and how many images are missing."""
        size = format_bytes(1000 * bytes_per_image(self.teacher, self.store.settings))
        return f"about {size} for 1,000 images; {len(self.store.missing)} of {len(self.store.keys)} images are missing"


def open_store(job: Job) -> OpenStore | None:
    """The store of a run; None if the run has none. UserError: there is no teacher, or the store does not fit the run."""
    run, teacher = job.run, job.distiller.teacher
    folder = store_folder(run)
    if folder is None:
        return None
    if teacher is None or run.teacher is None or job.teacher_card is None:
        raise UserError("--teacher-store needs a --teacher")
    readers = [name for name, loss in job.distiller.named_losses.items() if "hidden" in loss.reads]
    augment = teacher_augment(job.teacher_card, run.data.augment)
    path = weights_file(resolve_path(run.teacher))
    settings = store_settings(path, job.loader.dataset, augment, hidden=bool(readers))
    store = TeacherStore(folder, settings, job.loader.dataset)
    if readers and not store.settings.hidden:
        raise UserError(
            f"the loss {readers[0]!r} reads hidden vectors of the teacher, which {folder} lacks: make a store with --hidden, "
            f"or set --losses.{readers[0]}.weight 0"
        )
    return OpenStore(store, teacher, augment)


def store_settings(
    teacher: Path,
    data: Dataset,
    augment: Augment,
    *,
    hidden: bool,
    layers: Layers = "all",
    precision: Precision = "half",
) -> StoreSettings:
    """The settings of a store for these images and a teacher's file, which sees images as `augment` says."""
    size = augment.eval_short, augment.longest
    classes = tuple(c.name for c in data.categories)
    return StoreSettings(sha256_of(teacher), classes, size, layers, precision, hidden)


def teacher_augment(card: dict, otherwise: Augment) -> Augment:
    """How a teacher saw validation images, from its card; `otherwise` if the card does not say."""
    return data_of(card["data"], "the teacher's card").augment if card.get("data") else otherwise


@dataclass(frozen=True)
class Store:
    """The outputs of a teacher for the training images, on disk, for `fit --teacher-store`; takes the flags --data.* of `fit`."""

    out: Path | None = None  # Folder of the store. If it is begun already, it is completed.
    data: Data = Data()
    layers: Layers = "all"  # Decoder layers to store: all or last.
    precision: Precision = "half"  # Numbers of 2 bytes (half) or of 4 (single); boxes always have 4.
    hidden: bool = False  # Store the hidden vectors of the queries too, which the losses features and contrast read.
    class_map: Path | None = None  # JSON file that maps each class of the data to one or more classes of the teacher.
    batch: Count = 8  # Images in a batch.
    workers: Workers = 0  # Processes that load images.
    device: str = "auto"  # Device to run on; auto takes cuda if there is one.


def new_store(path: Path, options: Store, device: torch.device) -> OpenStore:
    """The store of the command `store`, which is begun or continued. UserError: an option, the data or the teacher is wrong."""
    if options.out is None:
        raise UserError("say which folder to write: --out FOLDER")
    detector, card = load_detector(weights_file(path))
    data = training_images(options.data, Pseudo(score=0.0))
    columns = teacher_class_map(card, data.categories, options.class_map)
    teacher = map_classes(detector, columns)
    teacher = LastLayer(teacher) if options.layers == "last" else teacher
    augment = teacher_augment(card, options.data.augment)
    settings = store_settings(
        weights_file(path), data, augment, hidden=options.hidden, layers=options.layers, precision=options.precision
    )
    store = TeacherStore(options.out, settings, data)
    if store.settings != settings:
        raise UserError(f"{options.out} was begun with other options; repeat those, or name another folder")
    return OpenStore(store, teacher.to(device), augment)


def describe(run: Run) -> str:
    """The store of a run in words; "" if it has none."""
    folder = store_folder(run)
    return f"{folder}: the teacher is asked once for each image" if folder else ""
