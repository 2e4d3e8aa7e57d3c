"""The configuration of a training run: frozen dataclasses, from which flags and cards are made.

The comment beside a field is its help text.
"""

import math
import os
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Union

from core import detectors, losses
from core.data.transforms import Augment
from core.errors import UserError
from core.limits import Count, CountOrZero, Dropout, Limits, Share, Size, Weight, Workers, refuse_outside, shown

LONGEST_NAME = 200  # bytes; a file system takes 255, and scratch files are named after it

if TYPE_CHECKING:
    from core.detectors.base import DetectorConfig as Student
else:
    try:
        from tyro.conf import subcommand
    except ImportError:  # flags alone need tyro; a program that trains by Python need not have it
        subcommand = str
    Student = Union[  # noqa: UP007
        tuple(Annotated[detectors.module(name).Config, subcommand(name)] for name in detectors.names())
    ]
Losses = make_dataclass(
    "Losses",
    [(name, config, config()) for name in losses.names() for config in [losses.module(name).Config]],
    frozen=True,
    namespace={"__module__": __name__},
)


@dataclass(frozen=True)
class Data:
    """Training and validation images, and how they are augmented."""

    kind: Literal["shapes", "coco"] = "shapes"  # Dataset: generated shapes, or images in COCO format.
    folder: Path | None = None  # Folder of both splits (COCO, Roboflow, YOLO, VOC), or a data.yaml; short: --data.
    train: Path | None = None  # COCO instances JSON of the training images.
    val: Path | None = None  # COCO instances JSON of the validation images.
    images: Path | None = None  # Folder of the images. Default: `images` beside each JSON, or COCO's own layout.
    train_limit: CountOrZero | None = None  # Use only the first N training images.
    val_limit: Count | None = None  # Use only the first N validation images.
    unlabelled: tuple[str, ...] = ()  # Images without labels: folders, COCO files, predictions, or `rest`.
    labelled_share: Share = 0.0  # Share of images with labels in each step; 0 takes all images as they come.
    size: Size = 96  # Side of the generated shapes images, in pixels.
    seed: Annotated[int, Limits(0, 2**63 - 1)] = 0  # Random seed of the generated shapes images.
    part: Literal["val", "test"] = "val"  # Part of the shapes set that is used as validation images.
    aspect_groups: CountOrZero = 0  # Aspect-ratio groups of upright and of wide images; a batch is from one. 0 is off.
    augment: Augment = Augment()


@dataclass(frozen=True)
class Pseudo:
    """Which predictions are the objects of images without labels."""

    score: float | None = None  # Least score of a pseudo object. Default: the best on labelled images, or 0.4.
    per_class: bool = False  # Choose a least score for each class that has enough objects.
    overlap: Share = 0.7  # IoU with a better prediction of the same class above which one is left out; 1 keeps all.
    soft: bool = False  # Let a pseudo object count as much as its score, instead of 1.


@dataclass(frozen=True)
class Distil:
    """How long the losses other than `detection` last, and whether their weights fall."""

    until: Annotated[float, Limits(0, 1, above=True)] = 1.0  # Share of training after which these losses end.
    weights: Literal["constant", "falling"] = "constant"  # Until then their weights stay, or fall linearly to 0.


@dataclass(frozen=True)
class Optim:
    """AdamW with a learning-rate schedule."""

    lr: Annotated[float, Limits(0, math.inf, below=True)] = 1e-3  # Learning rate.
    backbone_lr: Weight = 1.0  # Learning rate of the backbone, as a multiple of lr.
    slow: tuple[str, ...] = ()  # Parts of parameter names; parameters that match learn at slow_lr times lr.
    slow_lr: Weight = 0.1  # Learning rate of the parameters in `slow`, as a multiple of lr.
    weight_decay: Weight = 1e-4  # Weight decay.
    epochs: Count = 12  # Epochs to train.
    batch: Count = 8  # Images in a step, over all processes.
    passes: Count = 1  # Forward and backward passes in which a process makes its part of a step, to save memory.
    warmup: CountOrZero = 80  # Steps of linear warm-up.
    warmup_from: Weight | None = None  # Learning rate of the first step, as a multiple of lr. Default: 1 / warmup.
    schedule: Literal["cosine", "step", "flat-decay"] = "cosine"  # Learning-rate schedule.
    milestones: tuple[CountOrZero, ...] = ()  # Epochs after which the schedule `step` lowers the learning rate.
    drop: Weight = 0.1  # Factor by which the schedule `step` lowers the learning rate.
    tail: Share = 0.3  # Last share of training, in which the schedule `flat-decay` falls linearly to 0.
    clip: Annotated[float, Limits(0, math.inf, above=True)] = 10.0  # Largest L2 norm of the gradient.
    ema: Dropout = 0.0  # Decay of an average of the weights, which is evaluated and kept instead of them; 0 is off.


@dataclass(frozen=True)
class Run:
    """One training run: everything that its card says, and every flag of `python -m train fit`.

    UserError: a value is outside the limits of its field, or the name could not be that of a folder in runs/.
    """

    name: str  # Name of the run; its folder is runs/NAME.
    student: Student
    losses: Losses
    data: Data = Data()
    optim: Optim = Optim()
    pseudo: Pseudo = Pseudo()
    distil: Distil = Distil()
    teacher: Path | None = None  # Teacher: a run, or a .safetensors file.
    teacher_store: Path | None = None  # Folder with what the teacher says of each image; completed before training.
    teacher_cache: Path | None = None  # Former name of teacher_store.
    class_map: Path | None = None  # JSON file that maps each class of the data to one or more classes of the teacher.
    init: str | None = None  # Start: `imagenet`, a backbone's file, or a run or transformers' folder to fine-tune.
    init_queries: Count | None = None  # Queries of a detector from --init; --queries sets them. Default: its own.
    seed: Annotated[int, Limits(0, 2**63 - 1)] = 0  # Random seed.
    eval_every: Count = 1  # Epochs between evaluations.
    checkpoint_every: Count = 200  # Steps between checkpoints.
    keep: Count = 1  # Number of latest checkpoints to keep.
    on_nan: Literal["stop", "skip"] = "stop"  # What to do when a loss, cost or gradient is not finite.
    gradients_every: CountOrZero = 200  # Steps between measurements of each loss's gradient; 0 is never.
    recorded: CountOrZero = 32  # Number of validation images whose matching is recorded in every epoch.
    workers: Workers = 0  # Processes that load images.
    threads: Annotated[int, Limits(0, 1024)] = 0  # CPU threads of torch; 0 leaves the choice to torch.
    device: str = "auto"  # Device to train on; auto takes cuda if there is one.
    amp: Literal["off", "bf16", "fp16"] = "off"  # Automatic mixed precision.
    channels_last: bool = False  # Use the channels-last memory format, faster on recent GPUs.
    tf32: Literal["convolutions", "all", "off"] = "convolutions"  # What a GPU computes in TF32 where it is in float32.
    prefetch: bool = False  # Copy the next step's images to a GPU on a stream of their own while this step computes.
    compile: bool = False  # Compile encoders and decoders with torch.compile; slow to start, results differ slightly.
    tensorboard: bool = False  # Log to TensorBoard, in the run's folder.
    trackio: bool = False  # Log to trackio, on this machine (needs the extra `trackio`).

    def __post_init__(self) -> None:
        refuse_outside(self)
        refuse_name(self.name)


def refuse_name(name: str) -> None:
    """UserError: a run's name is not that of a folder within runs/, or a terminal would take it for something else."""
    folders = name.split("/")
    if not name.isprintable() or "\\" in name or any(x[:1] in ("", ".", "-") for x in folders):
        raise UserError(
            f"name is {shown(name)}; it must be that of a folder within runs/, which begins with neither . nor - and has no \\ "
            "or control character; for a folder elsewhere give --out FOLDER"
        )
    if longest := next((x for x in folders if len(x.encode()) > LONGEST_NAME), None):
        raise UserError(f"name is {shown(longest)}; give one of at most {LONGEST_NAME} bytes")


# The flags that most people set, which `fit RECIPE --help` shows.
USUAL: tuple[str, ...] = ("name", "teacher", "init", "data.folder", "data.train", "data.val", "data.images")
USUAL += ("student.queries", "optim.epochs", "optim.batch", "optim.lr", "seed", "workers", "device", "amp")


def is_quick() -> bool:
    """Returns whether QUICK=1 is set: a try that takes seconds."""
    return os.environ.get("QUICK") == "1"


def quick(run: Run) -> Run:
    """The same run on a few images for one epoch, which takes seconds: for trying a command."""
    data = replace(run.data, train_limit=8, val_limit=4)
    return replace(run, data=data, optim=replace(run.optim, epochs=1, batch=2, warmup=0))
