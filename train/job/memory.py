"""What memory training will need: a step on tensors that have shapes but no values, with a ledger of what is alive."""

import weakref
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from core.distiller import Distiller
from core.types import Images, Targets
from train.job.build import Job
from train.job.optim import trainable

OBJECTS = 8  # in an image, about COCO's mean; they weigh little


@dataclass(frozen=True)
class Budget:
    """In bytes, for images of so many pixels; what a library needs for itself is not known."""

    weights: int  # of student, teacher and losses, and of their running mean
    optimizer: int  # AdamW's two moments
    step: int  # activations and gradients at their peak, in full precision
    images: int
    size: tuple[int, int]

    @property
    def total(self) -> int:
        return self.weights + self.optimizer + self.step

    def __str__(self) -> str:
        parts = f"weights {amount(self.weights)}, AdamW {amount(self.optimizer)}, a step {amount(self.step)}"
        return f"about {amount(self.total)} for {self.images} images of {self.size[0]} x {self.size[1]} ({parts})"


def amount(count: int) -> str:
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def budget(job: Job) -> Budget:
    distiller, optim = job.distiller, job.run.optim
    found = estimate(distiller, job.loader.each, largest(job), passes=job.loader.passes)
    mean = sum(p.nbytes for m in (distiller.student, distiller.losses) for p in m.parameters()) if optim.ema else 0
    return replace(found, weights=found.weights + mean)


def largest(job: Job) -> tuple[int, int]:
    """Of the images of a step, (height, width); where the recipe sets no sizes, that of the first image."""
    augment = job.run.data.augment
    if not augment.sizes:
        return job.loader.dataset[0].size
    return max(augment.sizes), max(*augment.sizes, augment.longest)


def estimate(distiller: Distiller, images: int, size: tuple[int, int], passes: int = 1) -> Budget:
    """For so many images in each pass; those after the first find gradients already there."""
    moments = 2 * sum(p.nbytes for p in trainable(distiller).values())
    weights = sum(x.nbytes for x in [*distiller.parameters(), *distiller.buffers()])
    most = peak(distiller, *blank(images, size, distiller.student.config.classes), passes=min(passes, 2))
    return Budget(weights, moments, most, images, size)


def blank(images: int, size: tuple[int, int], classes: int) -> tuple[Images, Targets]:
    height, width = size
    sizes, ids = torch.tensor([size] * images), torch.arange(images)
    pixels = torch.empty(images, 3, height, width, dtype=torch.uint8, device="meta")
    objects = torch.arange(images * OBJECTS)
    targets = Targets(torch.full((len(objects), 4), 0.5), objects % classes, objects // OBJECTS, (OBJECTS,) * images)
    return Images(pixels, torch.zeros(images, height, width, dtype=torch.bool), sizes, sizes, ids), targets


def peak(distiller: Distiller, images: Images, targets: Targets, *, passes: int) -> int:
    """Bytes at most alive in a step, weights not counted; nothing is computed."""
    bare = shapes_of(distiller).train()
    images, targets = images.to("meta"), targets.to("meta")
    with Ledger() as ledger:
        for _ in range(passes):
            bare(images, targets).total.backward()
    return ledger.peak


def shapes_of(module: nn.Module) -> nn.Module:
    """A copy on the meta device."""
    memo = {}
    for x in [*module.parameters(), *module.buffers()]:
        bare = torch.empty_like(x, device="meta")
        memo[id(x)] = nn.Parameter(bare, x.requires_grad) if isinstance(x, nn.Parameter) else bare
    return deepcopy(module, memo)


class Ledger(TorchDispatchMode):
    """Adds up what operations make, and subtracts what is freed. A copy to the host, as for the solver, is all ones."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.alive = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and args[0].is_meta and kwargs.get("device") == torch.device("cpu"):
            return torch.ones(args[0].shape, dtype=kwargs.get("dtype", args[0].dtype))
        out = func(*args, **kwargs)
        for x in tree_leaves(out):
            if isinstance(x, Tensor) and x.is_meta:
                self.enter(x.untyped_storage())
        return out

    def enter(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self.alive:
            return
        self.alive.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.leave, key, size)

    def leave(self, key: int, size: int) -> None:
        self.alive.discard(key)
        self.now -= size
