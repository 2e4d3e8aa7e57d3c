"""Our loop beside transformers' Trainer: what a step costs apart from the network, and product against product.

`one network` trains the tiny AdaMixer of the recipe `shapes`, with its losses, in both loops. `products` trains our
Deformable DETR in our loop, and theirs in theirs with its own image processor and losses, from the same first weights: the
folder that `export --to hf` writes. Both take the same drawn images in batches of one size from one reading process, and
are measured in turns. A step lasts from one update to the next; the optimiser's part includes clipping. The first steps are
not counted; evaluations, checkpoints and our looks at gradients, every 200 steps, fall outside.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data.dataloader import _BaseDataLoaderIter

from analysis.bench import Aim, machine
from core import detectors
from core.data.batch import collate
from core.data.loader import Draws
from core.data.sample import Sample
from core.data.transforms import Augment
from core.distiller import Distiller
from core.errors import UserError
from core.types import Images, Targets
from train.engine import loop
from train.exports import hf
from train.job.build import build, dataset
from train.recipes.on_shapes import shapes
from train.run import Data, Run

WORK = ("forward", "backward", "optimiser")
SETTINGS = {"classes": 8, "backbone": "resnet18", "frozen": 0, "queries": 100, "layers": 3, "encoder_layers": 3}
TINY = {"classes": 8, "backbone": "resnet18", "frozen": 0, "queries": 6, "layers": 1, "encoder_layers": 1}
TINY |= {"width": 32, "heads": 4, "feedforward": 32, "strides": (16, 32), "points": 1}


@dataclass(frozen=True)
class Size:
    """Of a comparison."""

    steps: int  # of each turn
    warm: int  # first ones, not counted
    turns: int
    batch: int
    side: int  # of the images, in pixels


def run() -> tuple[list[dict], list[Aim]]:
    if os.environ.get("QUICK") == "1":
        sizes, options = (Size(4, 2, 1, 2, 64), Size(4, 2, 1, 2, 64)), TINY
    else:
        sizes, options = (Size(60, 20, 2, 8, 96), Size(16, 4, 2, 4, 192)), SETTINGS
    torch.set_num_threads(1)
    one = of(shapes.run(), sizes[0])
    two = of(replace(one, student=detectors.module("deformable").Config(**options)), sizes[1])
    ours, theirs = turns(
        sizes[0], {"our loop": lambda c, p: fit(one, c, p), "Trainer": lambda c, p: wrapped(one, c, p)}
    )
    mine, other = turns(
        sizes[1], {"ours": lambda c, p: fit(two, c, p), "transformers'": lambda c, p: product(two, c, p)}
    )
    rows = [machine(1)]
    for name, side in (("one network", (ours, theirs)), ("products", (mine, other))):
        rows += [{"case": f"{name}, {row.pop('name')}"} | row for row in map(dict, side)]
    ratio = round(mine["images_s"] / other["images_s"], 2)
    return rows, [
        Aim(
            "outside forward, backward and optimiser: at most 2% of our step", ours["outside"], ours["outside"] <= 0.02
        ),
        Aim(
            "and no more than of Trainer's",
            round(ours["outside"] / theirs["outside"], 2),
            ours["outside"] <= theirs["outside"],
        ),
        Aim(
            "our Deformable DETR in our loop: at least 1.4 x the images a second of theirs in theirs",
            ratio,
            ratio >= 1.4,
        ),
    ]


def of(run: Run, size: Size) -> Run:
    """Its data are as many images as there are steps for; nothing is drawn at random in them, so both read the same."""
    data = Data(train_limit=size.steps * size.batch, val_limit=2, size=size.side, augment=Augment(flip=0.0))
    optim = replace(run.optim, epochs=1, batch=size.batch, warmup=0)
    return replace(run, init=None, data=data, optim=optim, workers=1, threads=1, recorded=0)


# ---- what is measured


class Clock:
    """Seconds of each part of each step, of whichever loop runs while it is `watching`: as they pass, and of this process
    on its core, which other programs' load hardly changes.
    """

    def __init__(self):
        self.steps: list[dict[str, np.ndarray]] = []
        self.parts = none()
        self.begun = self.update = now()

    def timed(self, part: str, function: Callable) -> Callable:
        def call(*args, **kwargs):
            begun = now()
            try:
                return function(*args, **kwargs)
            finally:
                self.parts[part] += now() - begun

        return call

    def before_update(self, *_) -> None:
        self.update = now()

    def after_update(self, *_) -> None:
        """A step ends here."""
        end = now()
        self.parts["optimiser"] += end - self.update
        self.steps.append({"step": end - self.begun} | self.parts)
        self.parts, self.begun = none(), end

    @contextmanager
    def watching(self, network: type) -> Iterator[None]:
        """`network` is the class whose forward gives the loss."""
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


def now() -> np.ndarray:
    return np.array([perf_counter(), process_time()])


def none() -> dict[str, np.ndarray]:
    return {part: np.zeros(2) for part in ("data", *WORK)}


def turns(size: Size, ways: dict[str, Callable[[Clock, Path], None]]) -> list[dict]:
    """A row of each way, from the counted steps of all its turns."""
    found = {name: [] for name in ways}
    for _ in range(size.turns):
        for name, way in ways.items():
            with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
                way(clock := Clock(), Path(folder) / "run")
            found[name] += clock.steps[size.warm :]
    return [row(name, steps, size.batch) for name, steps in found.items()]


def row(name: str, steps: list[dict[str, np.ndarray]], batch: int) -> dict:
    """Medians over steps; shares are of the step's own time."""
    found = {f"{part}_ms": round(1e3 * median(s[part][0] for s in steps), 2) for part in ("step", *WORK, "data")}
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
        **found,
        **{key: round(float(value), 4) for key, value in shares.items()},
        "images_s": round(float(pace[0]), 2),
        "images_s_work": round(float(pace[1]), 2),
    }


# ---- the loops


def fit(run: Run, clock: Clock, folder: Path) -> None:
    with clock.watching(Distiller):
        loop.fit(run, folder)


class Whole(nn.Module):
    """A Distiller as Trainer takes a network."""

    def __init__(self, distiller: Distiller):
        super().__init__()
        self.distiller = distiller

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        return {"loss": self.distiller(images, targets).total}


class Drawn(torch.utils.data.Dataset):
    """The samples of our loader's first epoch, by index."""

    def __init__(self, run: Run):
        self.images = dataset(run.data, "train")
        self.draws = Draws(self.images, run.data.augment, run.seed)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        return self.draws[0, index]


def wrapped(run: Run, clock: Clock, folder: Path) -> None:
    def batch(samples: list[Sample]) -> dict:
        return dict(zip(("images", "targets"), collate(samples)))

    trainer = trainer_of(run, folder, Whole(build(run).distiller), batch)
    with clock.watching(Distiller):
        trainer.train()


def product(run: Run, clock: Clock, folder: Path) -> None:
    """The network and its image processor as transformers opens them."""
    transformers, job = imported(), build(run)
    hf.export(job.distiller.student, {"categories": [vars(c) for c in job.val.categories]}, folder)
    network = transformers.AutoModelForObjectDetection.from_pretrained(folder, auxiliary_loss=True)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)

    def batch(samples: list[Sample]) -> dict:
        images = [s.pixels.permute(1, 2, 0).numpy() for s in samples]
        return dict(processor(images=images, annotations=[annotated(s) for s in samples], return_tensors="pt"))

    trainer = trainer_of(run, folder / "out", network, batch)
    with clock.watching(type(network)):
        trainer.train()


def annotated(sample: Sample) -> dict:
    """As COCO has it."""
    corners = sample.boxes.tolist()
    objects = [
        {"bbox": [x, y, right - x, low - y], "category_id": label, "area": (right - x) * (low - y), "iscrowd": 0}
        for (x, y, right, low), label in zip(corners, sample.labels.tolist())
    ]
    return {"image_id": sample.id, "annotations": objects}


def trainer_of(run: Run, folder: Path, network: nn.Module, batch: Callable[[list[Sample]], dict]):
    transformers = imported()
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
    return transformers.Trainer(network, settings, data_collator=batch, train_dataset=Drawn(run))


def imported():
    try:
        import accelerate  # noqa: F401
        import transformers
    except ImportError:
        raise UserError("this needs transformers and accelerate: pip install -e '.[dev]'") from None
    transformers.utils.logging.disable_progress_bar()
    return transformers
