"""Estimates the memory that training needs: runs a step on meta tensors, and adds up the bytes of those that are alive."""

import weakref
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from core.detectors import hub
from core.distiller import Distiller
from core.types import Images, Targets
from train.job.build import Job
from train.job.optim import trainable
from train.memory.meta_operations import run_remembered

OBJECTS = 8  # in each image, about COCO's mean; their number matters little


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training needs, without what libraries such as CUDA need for themselves."""

    weights: int  # of student, teacher and losses, and of their moving average
    optimizer: int  # AdamW's two moments
    step: int  # activations and gradients at their peak, in single precision
    images: int  # in a pass
    size: tuple[int, int]  # (height, width) of the images

    @property
    def total(self) -> int:
        """The sum of all parts."""
        return self.weights + self.optimizer + self.step

    def __str__(self) -> str:
        parts = f"weights {format_bytes(self.weights)}, AdamW {format_bytes(self.optimizer)}, a step {format_bytes(self.step)}"
        size = f"{self.size[0]} x {self.size[1]}"
        return f"about {format_bytes(self.total)} for {self.images} images of {size} ({parts})"


def format_bytes(count: int) -> str:
    """A number of bytes in MB or GB."""
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def estimate_memory(job: Job) -> MemoryEstimate | None:
    """The memory of a run, with its largest images and, if it keeps one, the moving average of its weights.

    None if it cannot be known without computing: a detector of transformers may look at the values of tensors.
    """
    distiller, optim = job.distiller, job.run.optim
    try:
        needed = estimate(distiller, job.loader.images_per_pass, largest_size(job), passes=job.loader.passes)
    except (NotImplementedError, RuntimeError):
        if not any(isinstance(x, hub.Model) for x in (distiller.student, distiller.teacher)):
            raise
        return None
    average = sum(p.nbytes for m in (distiller.student, distiller.losses) for p in m.parameters()) if optim.ema else 0
    return replace(needed, weights=needed.weights + average)


def largest_size(job: Job) -> tuple[int, int]:
    """(height, width) of the largest images of a step; if the recipe resizes no images, that of the first image."""
    augment = job.run.data.augment
    if not augment.sizes:
        return job.loader.dataset[0].size
    side = max(augment.sizes)
    return (side, side) if augment.square else (side, max(side, augment.longest))


def estimate(distiller: Distiller, images: int, size: tuple[int, int], passes: int = 1) -> MemoryEstimate:
    """The memory of steps with so many images in each pass; after the first pass, gradients are alive from the start."""
    moments = 2 * sum(p.nbytes for p in trainable(distiller).values())
    weights = sum(x.nbytes for x in [*distiller.parameters(), *distiller.buffers()])
    batch = placeholder_batch(images, size, distiller.student.config.classes)
    return MemoryEstimate(weights, moments, peak_bytes(distiller, *batch, passes=min(passes, 2)), images, size)


def placeholder_batch(images: int, size: tuple[int, int], classes: int) -> tuple[Images, Targets]:
    """A batch without padding, whose pixels are on the meta device, with OBJECTS equal boxes in each image."""
    height, width = size
    sizes, ids = torch.tensor([size] * images), torch.arange(images)
    pixels = torch.empty(images, 3, height, width, dtype=torch.uint8, device="meta")
    objects = torch.arange(images * OBJECTS)
    targets = Targets(torch.full((len(objects), 4), 0.5), objects % classes, objects // OBJECTS, (OBJECTS,) * images)
    return Images(pixels, torch.zeros(images, height, width, dtype=torch.bool), sizes, sizes, ids), targets


def peak_bytes(distiller: Distiller, images: Images, targets: Targets, *, passes: int) -> int:
    """The largest number of bytes that are alive at once in a step, without the weights; nothing is computed."""
    on_meta = meta_copy(distiller).train()
    images, targets = images.to("meta"), targets.to("meta")
    with AllocationCounter() as counter:
        for _ in range(passes):
            on_meta(images, targets).total.backward()
    return counter.peak


def meta_copy(module: nn.Module) -> nn.Module:
    """A copy whose parameters and buffers are on the meta device."""
    memo: dict[int, Any] = {}
    for x in [*module.parameters(), *module.buffers()]:
        empty = torch.empty_like(x, device="meta")
        memo[id(x)] = nn.Parameter(empty, x.requires_grad) if isinstance(x, nn.Parameter) else empty
    return deepcopy(module, memo)


class AllocationCounter(TorchDispatchMode):
    """While active, counts the bytes of meta tensors: `now` are alive, `peak` were alive at most.

    A copy to the CPU, such as that of the matching costs for the solver, is a tensor of ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.alive: set[int] = set()  # ids of storages

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and args[0].is_meta and kwargs.get("device") == torch.device("cpu"):
            return torch.ones(args[0].shape, dtype=kwargs.get("dtype", args[0].dtype))
        out = run_remembered(func, args, kwargs)
        for x in tree_leaves(out):
            if isinstance(x, Tensor) and x.is_meta:
                self.add(x.untyped_storage())
        return out

    def add(self, storage: torch.UntypedStorage) -> None:
        """Counts a storage, unless it is counted already, until it is freed."""
        key, size = id(storage), storage.nbytes()
        if key in self.alive:
            return
        self.alive.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.remove, key, size)

    def remove(self, key: int, size: int) -> None:
        """Stops counting a storage that was freed."""
        self.alive.discard(key)
        self.now -= size
