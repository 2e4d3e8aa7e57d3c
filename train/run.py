"""What a training run is: frozen dataclasses, the only schema of flags and cards."""

from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, Union

import tyro

from core import detectors, losses
from core.data.transforms import Augment

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
    kind: Literal["shapes", "coco"] = "shapes"  # drawn shapes, or a folder in COCO format
    train: Path | None = None  # COCO instances JSON to learn from
    val: Path | None = None  # COCO instances JSON to be measured on
    images: Path | None = None  # folder of the images of both; else `images` beside each JSON, or COCO's own
    train_limit: int | None = None  # take the first n images
    val_limit: int | None = None
    size: int = 96  # side of the drawn shapes images, in pixels
    part: Literal["val", "test"] = "val"  # of the drawn shapes, to be measured on
    aspect_groups: int = 0  # of upright and of lying images each; a batch is of one group, so little is padded; 0: any
    augment: Augment = Augment()


@dataclass(frozen=True)
class Optim:
    """AdamW."""

    lr: float = 1e-3
    backbone_lr: float = 1.0  # times lr
    slow: tuple[str, ...] = ()  # parts of names of the student's weights that learn at slow_lr times lr
    slow_lr: float = 0.1
    weight_decay: float = 1e-4
    epochs: int = 12
    batch: int = 8  # images a step, of all processes together
    passes: int = 1  # that a process makes for its part of a step, where memory is short: the same step
    warmup: int = 80  # steps of linear warm-up
    warmup_from: float | None = None  # times lr, at the first step; None: 1 / warmup
    schedule: Literal["cosine", "step", "flat-decay"] = "cosine"
    milestones: tuple[int, ...] = ()  # step: epochs after which the rate drops
    drop: float = 0.1  # step: by this factor
    tail: float = 0.3  # flat-decay: the last part of training, in which the rate falls to 0 in a line
    clip: float = 10.0  # L2 norm of the gradient
    ema: float = 0.0  # decay of a running mean of the weights, which is then measured and kept as the best; 0: none


@dataclass(frozen=True)
class Run:
    name: str  # of its folder in runs/
    student: Student
    losses: Losses
    data: Data = Data()
    optim: Optim = Optim()
    teacher: Path | None = None  # a run or a .safetensors file
    teacher_cache: Path | None = None  # folder that keeps the teacher's answers, where training shows a picture twice
    class_map: Path | None = None  # JSON: each class of the data to the teacher's of another name, or a list of them
    init: str | None = None  # first weights: `imagenet` or a file of the backbone's, or a detector's .safetensors
    seed: int = 0
    eval_every: int = 1  # epochs
    checkpoint_every: int = 200  # steps
    keep: int = 1  # last checkpoints
    on_nan: Literal["stop", "skip"] = (
        "stop"  # what follows a loss, cost or gradient that is not finite; always a report
    )
    gradients_every: int = 200  # steps between two looks at the gradient of each loss; 0: never
    recorded: int = 32  # first images to be measured on, whose matching is recorded epoch by epoch
    workers: int = 0  # processes that read images
    threads: int = 0  # of torch on the CPU; 0 leaves its choice
    device: str = "auto"  # auto takes cuda if there is one
    amp: Literal["off", "bf16", "fp16"] = "off"
    channels_last: bool = False  # memory format of the images, faster on recent GPUs
    compile: bool = False  # encoders and decoders by torch.compile: slow to start, and not the same bits
    tensorboard: bool = False
    trackio: bool = False  # an extra


def quick(run: Run) -> Run:
    """The same in seconds, for trying a command."""
    data = replace(run.data, train_limit=8, val_limit=4)
    return replace(run, data=data, optim=replace(run.optim, epochs=1, batch=2, warmup=0))
