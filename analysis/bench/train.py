"""Our training loop compared with the Trainer of transformers.

The rows `one network` train the tiny AdaMixer of the recipe `shapes`, with its losses, in both loops. The rows `products`
train our Deformable DETR in our loop, and the Deformable DETR of transformers in its Trainer, with its own image processor
and losses, from the same initial weights: the folder that `export --to hf` writes. Both loops take the same drawn images in
batches of one size from one loading process, and take turns. A step lasts from one update to the next; the optimiser's part
includes clipping. The first steps are not counted. Evaluation, checkpoints, and the gradient norms that our loop logs every
200 steps are outside the counted steps.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data.dataloader import _BaseDataLoaderIter

from analysis.bench import Aim, machine
from core import detectors
from core.data.batch import collate
from core.data.loader import AugmentedSamples
from core.data.sample import Sample
from core.data.transforms import Augment
from core.distiller import Distiller
from core.errors import UserError
from core.types import Images, Targets
from train.engine import loop
from train.exports import hf
from train.job.build import build
from train.job.images import dataset
from train.recipes.on_shapes import shapes
from train.run import Data, Run

WORK = ("forward", "backward", "optimiser")  # parts of a step that are not overhead
SETTINGS: dict[str, Any] = {
    "classes": 8,
    "backbone": "resnet18",
    "frozen": 0,
    "queries": 100,
    "layers": 3,
    "encoder_layers": 3,
}
TINY: dict[str, Any] = {
    "classes": 8,
    "backbone": "resnet18",
    "frozen": 0,
    "queries": 6,
    "layers": 1,
    "encoder_layers": 1,
}
TINY |= {"width": 32, "heads": 4, "feedforward": 32, "strides": (16, 32), "points": 1}

Seconds = Float[np.ndarray, " 2"]  # wall seconds, processor seconds
Parts = dict[str, Seconds]


@dataclass(frozen=True)
class Size:
    """The size of a comparison."""

    steps: int  # in each turn
    warm: int  # first steps of a turn, which are not counted
    turns: int
    batch: int  # images in a batch
    side: int  # of the square images, in pixels


def run() -> tuple[list[dict], list[Aim]]:
    """Trains all four combinations on one thread."""
    if os.environ.get("QUICK") == "1":
        sizes, options = (Size(4, 2, 1, 2, 64), Size(4, 2, 1, 2, 64)), TINY
    else:
        sizes, options = (Size(60, 20, 2, 8, 96), Size(16, 4, 2, 4, 192)), SETTINGS
    torch.set_num_threads(1)
    one = benchmark_run(shapes.run(), sizes[0])
    two = benchmark_run(replace(one, student=detectors.module("deformable").Config(**options)), sizes[1])
    loops: dict[str, Fit] = {"our loop": partial(fit_ours, one), "Trainer": partial(fit_ours_in_trainer, one)}
    products: dict[str, Fit] = {"ours": partial(fit_ours, two), "transformers'": partial(fit_theirs, two)}
    ours, trainer = turns(sizes[0], loops)
    our_product, their_product = turns(sizes[1], products)
    rows = [machine(1)]
    for name, pair in (("one network", (ours, trainer)), ("products", (our_product, their_product))):
        rows += [{"case": f"{name}, {row.pop('name')}"} | row for row in map(dict, pair)]
    ratio = round(our_product["images_s"] / their_product["images_s"], 2)
    return rows, [
        Aim(
            "outside forward, backward and optimiser: at most 2% of our step", ours["outside"], ours["outside"] <= 0.02
        ),
        Aim(
            "and no more than of Trainer's",
            round(ours["outside"] / trainer["outside"], 2),
            ours["outside"] <= trainer["outside"],
        ),
        Aim(
            "our Deformable DETR in our loop: at least 1.4 x the images a second of theirs in theirs",
            ratio,
            ratio >= 1.4,
        ),
    ]


def benchmark_run(run: Run, size: Size) -> Run:
    """The run on as many images as the steps need, without random augmentation, so that both loops read the same images."""
    data = Data(train_limit=size.steps * size.batch, val_limit=2, size=size.side, augment=Augment(flip=0.0))
    optim = replace(run.optim, epochs=1, batch=size.batch, warmup=0)
    return replace(run, init=None, data=data, optim=optim, workers=1, threads=1, recorded=0)


class Clock:
    """Measures the parts of every step of the loop that runs while it is `watching`.

    Each time is a pair: wall seconds, and processor seconds of this process, which the load of other programs hardly changes.
    """

    def __init__(self) -> None:
        """Starts the first step now."""
        self.steps: list[Parts] = []  # finished steps; "step" is the whole
        self.parts = zero_parts()
        self.start = self.update = now()  # of the present step, and of its update

    def timed(self, part: str, function: Callable) -> Callable:
        """The function, with its time added to a part of the step."""

        def call(*args: Any, **kwargs: Any) -> Any:
            start = now()
            try:
                return function(*args, **kwargs)
            finally:
                self.parts[part] += now() - start

        return call

    def before_update(self, *_: Any) -> None:
        """Hook of the optimiser: the update begins."""
        self.update = now()

    def after_update(self, *_: Any) -> None:
        """Hook of the optimiser: the update and the step end, and the next step begins."""
        end = now()
        self.parts["optimiser"] += end - self.update
        self.steps.append({"step": end - self.start} | self.parts)
        self.parts, self.start = zero_parts(), end

    @contextmanager
    def watching(self, network: type) -> Iterator[None]:
        """Measures all steps within the context; `network` is the class whose `forward` returns the loss."""
        places = [
            (network, "forward", "forward"),
            (Tensor, "backward", "backward"),
            (nn.utils, "clip_grad_norm_", "optimiser"),
            (_BaseDataLoaderIter, "__next__", "data"),
        ]
        hooks = (
            register_optimizer_step_pre_hook(self.before_update),
            register_optimizer_step_post_hook(self.after_update),
        )
        patches = [patch.object(owner, name, self.timed(part, getattr(owner, name))) for owner, name, part in places]
        try:
            for each in patches:
                each.start()
            yield
        finally:
            for each in patches:
                each.stop()
            for hook in hooks:
                hook.remove()


Fit = Callable[[Clock, Path], None]  # a training in a folder, measured by a clock


def now() -> Seconds:
    """Wall and processor time, in seconds."""
    return np.array([perf_counter(), process_time()])


def zero_parts() -> Parts:
    """No time for any part of a step."""
    return {part: np.zeros(2) for part in ("data", *WORK)}


def turns(size: Size, fits: dict[str, Fit]) -> list[dict]:
    """A row for each training, from the counted steps of all its turns."""
    counted: dict[str, list[Parts]] = {name: [] for name in fits}
    for _ in range(size.turns):
        for name, fit in fits.items():
            with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
                fit(clock := Clock(), Path(folder) / "run")
            counted[name] += clock.steps[size.warm :]
    return [row(name, steps, size.batch) for name, steps in counted.items()]


def row(name: str, steps: list[Parts], batch: int) -> dict:
    """Medians over steps: milliseconds of each part, shares of the step's time, and images a second.

    `outside` is the share outside the parts in WORK, `waits` the share of waiting for data; "_work" marks processor time.
    """
    milliseconds = {f"{part}_ms": round(1e3 * median(s[part][0] for s in steps), 2) for part in ("step", *WORK, "data")}
    outside = np.median([1 - sum(s[part] for part in WORK) / s["step"] for s in steps], axis=0)
    shares = {
        "outside": outside[0],
        "outside_work": outside[1],
        "waits": median(s["data"][0] / s["step"][0] for s in steps),
    }
    pace = batch / np.median([s["step"] for s in steps], axis=0)
    return {
        "name": name,
        "steps": len(steps),
        **milliseconds,
        **{key: round(float(value), 4) for key, value in shares.items()},
        "images_s": round(float(pace[0]), 2),
        "images_s_work": round(float(pace[1]), 2),
    }


def fit_ours(run: Run, clock: Clock, folder: Path) -> None:
    """Trains in our loop."""
    with clock.watching(Distiller):
        loop.fit(run, folder)


class AsModule(nn.Module):
    """A Distiller with the interface that Trainer expects: `forward` returns {"loss"}."""

    def __init__(self, distiller: Distiller):
        """Wraps the distiller."""
        super().__init__()
        self.distiller = distiller

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        return {"loss": self.distiller(images, targets).total}


class FirstEpoch(torch.utils.data.Dataset):
    """The samples of our loader's first epoch, by index."""

    def __init__(self, run: Run):
        """Opens the training images of the run."""
        self.images = dataset(run.data, "train")
        self.samples = AugmentedSamples(self.images, run.data.augment, run.seed)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[0, index, None]


def fit_ours_in_trainer(run: Run, clock: Clock, folder: Path) -> None:
    """Trains our network with our losses in transformers' Trainer."""

    def batch(samples: list[Sample]) -> dict:
        return dict(zip(("images", "targets"), collate(samples)))

    trainer = trainer_of(run, folder, AsModule(build(run).distiller), batch)
    with clock.watching(Distiller):
        trainer.train()


def fit_theirs(run: Run, clock: Clock, folder: Path) -> None:
    """Trains the network of transformers, with its image processor and losses, in its Trainer, from our initial weights."""
    transformers, job = import_transformers(), build(run)
    hf.export(job.distiller.student, {"categories": [vars(c) for c in job.val.categories]}, folder)
    network = transformers.AutoModelForObjectDetection.from_pretrained(folder, auxiliary_loss=True)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)

    def batch(samples: list[Sample]) -> dict:
        images = [s.pixels.permute(1, 2, 0).numpy() for s in samples]
        return dict(processor(images=images, annotations=[coco_annotations(s) for s in samples], return_tensors="pt"))

    trainer = trainer_of(run, folder / "out", network, batch)
    with clock.watching(type(network)):
        trainer.train()


def coco_annotations(sample: Sample) -> dict:
    """The sample's objects in COCO's format, as image processors of transformers take them."""
    corners = sample.boxes.tolist()
    objects = [
        {"bbox": [x, y, right - x, bottom - y], "category_id": label, "area": (right - x) * (bottom - y), "iscrowd": 0}
        for (x, y, right, bottom), label in zip(corners, sample.labels.tolist())
    ]
    return {"image_id": sample.id, "annotations": objects}


def trainer_of(run: Run, folder: Path, network: nn.Module, batch: Callable[[list[Sample]], dict]) -> Any:
    """transformers' Trainer for the run's first epoch, with the run's optimiser settings."""
    transformers = import_transformers()
    settings = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=run.optim.batch,
        num_train_epochs=1,
        learning_rate=run.optim.lr,
        weight_decay=run.optim.weight_decay,
        max_grad_norm=run.optim.clip,
        dataloader_num_workers=run.workers,
        save_strategy="no",
        report_to=[],
        remove_unused_columns=False,
        use_cpu=True,
        disable_tqdm=True,
    )
    return transformers.Trainer(network, settings, data_collator=batch, train_dataset=FirstEpoch(run))


def import_transformers() -> Any:
    """The module transformers, without progress bars. UserError: it or accelerate is not installed."""
    try:
        import accelerate  # type: ignore[import-untyped]  # noqa: F401
        import transformers
    except ImportError:
        raise UserError("this needs transformers and accelerate: pip install -e '.[dev]'") from None
    transformers.utils.logging.disable_progress_bar()
    return transformers
