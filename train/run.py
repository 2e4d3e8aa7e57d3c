"""The configuration of a training run: frozen dataclasses, from which flags and cards are made.

The comment beside a field is its help text.
"""

from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Union

import tyro

from core import detectors, losses
from core.data.transforms import Augment

if TYPE_CHECKING:
    from core.detectors.base import DetectorConfig as Student
else:
    Student = Union[  # noqa: UP007
        tuple(Annotated[detectors.module(name).Config, tyro.conf.subcommand(name)] for name in detectors.names())
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
    train_limit: int | None = None  # Use only the first N training images.
    val_limit: int | None = None  # Use only the first N validation images.
    # Images without labels: folders, COCO files of images, predictions with scores, or `rest`, those after train_limit.
    unlabelled: tuple[str, ...] = ()
    labelled_share: float = 0.0  # Share of images with labels in each step; 0 takes all images as they come.
    size: int = 96  # Side of the generated shapes images, in pixels.
    part: Literal["val", "test"] = "val"  # Part of the shapes set that is used as validation images.
    aspect_groups: int = 0  # Aspect-ratio groups of upright and of wide images; a batch is from one. 0 is off.
    augment: Augment = Augment()


@dataclass(frozen=True)
class Pseudo:
    """Which predictions are the objects of images without labels."""

    score: float | None = (
        None  # Least score of a pseudo object. Default: the best on labelled images held back, or 0.4.
    )
    per_class: bool = False  # Choose a least score for each class that has enough objects.
    overlap: float = 0.7  # IoU with a better prediction of the same class above which one is left out; 1 keeps all.
    soft: bool = False  # Let a pseudo object count as much as its score, instead of 1.


@dataclass(frozen=True)
class Optim:
    """AdamW with a learning-rate schedule."""

    lr: float = 1e-3  # Learning rate.
    backbone_lr: float = 1.0  # Learning rate of the backbone, as a multiple of lr.
    slow: tuple[str, ...] = ()  # Parts of parameter names; parameters that match learn at slow_lr times lr.
    slow_lr: float = 0.1  # Learning rate of the parameters in `slow`, as a multiple of lr.
    weight_decay: float = 1e-4  # Weight decay.
    epochs: int = 12  # Epochs to train.
    batch: int = 8  # Images in a step, over all processes.
    passes: int = 1  # Forward and backward passes in which a process makes its part of a step, to save memory.
    warmup: int = 80  # Steps of linear warm-up.
    warmup_from: float | None = None  # Learning rate of the first step, as a multiple of lr. Default: 1 / warmup.
    schedule: Literal["cosine", "step", "flat-decay"] = "cosine"  # Learning-rate schedule.
    milestones: tuple[int, ...] = ()  # Epochs after which the schedule `step` lowers the learning rate.
    drop: float = 0.1  # Factor by which the schedule `step` lowers the learning rate.
    tail: float = 0.3  # Last share of training, in which the schedule `flat-decay` falls linearly to 0.
    clip: float = 10.0  # Largest L2 norm of the gradient.
    ema: float = 0.0  # Decay of an average of the weights, which is evaluated and kept instead of them; 0 is off.


@dataclass(frozen=True)
class Run:
    """One training run: everything that its card says, and every flag of `python -m train fit`."""

    name: str  # Name of the run; its folder is runs/NAME.
    student: Student
    losses: Losses
    data: Data = Data()
    optim: Optim = Optim()
    pseudo: Pseudo = Pseudo()
    teacher: Path | None = None  # Teacher: a run, or a .safetensors file.
    teacher_cache: Path | None = None  # Folder that caches the teacher's outputs for images that training repeats.
    class_map: Path | None = None  # JSON file that maps each class of the data to one or more classes of the teacher.
    init: str | None = None  # Start: `imagenet`, a backbone's file, or a run or transformers' folder to fine-tune.
    seed: int = 0  # Random seed.
    eval_every: int = 1  # Epochs between evaluations.
    checkpoint_every: int = 200  # Steps between checkpoints.
    keep: int = 1  # Number of latest checkpoints to keep.
    on_nan: Literal["stop", "skip"] = "stop"  # What to do when a loss, cost or gradient is not finite.
    gradients_every: int = 200  # Steps between measurements of each loss's gradient; 0 is never.
    recorded: int = 32  # Number of validation images whose matching is recorded in every epoch.
    workers: int = 0  # Processes that load images.
    threads: int = 0  # CPU threads of torch; 0 leaves the choice to torch.
    device: str = "auto"  # Device to train on; auto takes cuda if there is one.
    amp: Literal["off", "bf16", "fp16"] = "off"  # Automatic mixed precision.
    channels_last: bool = False  # Use the channels-last memory format, faster on recent GPUs.
    compile: bool = False  # Compile encoders and decoders with torch.compile; slow to start, results differ slightly.
    tensorboard: bool = False  # Log to TensorBoard, in the run's folder.
    trackio: bool = False  # Log to trackio, on this machine (needs the extra `trackio`).


# The flags that most people set, which `fit RECIPE --help` shows.
USUAL: tuple[str, ...] = ("name", "teacher", "init", "data.folder", "data.train", "data.val", "data.images")
USUAL += ("optim.epochs", "optim.batch", "optim.lr", "seed", "workers", "device", "amp")


def quick(run: Run) -> Run:
    """The same run on a few images for one epoch, which takes seconds: for trying a command."""
    data = replace(run.data, train_limit=8, val_limit=4)
    return replace(run, data=data, optim=replace(run.optim, epochs=1, batch=2, warmup=0))
