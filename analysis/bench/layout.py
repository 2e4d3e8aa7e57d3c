"""A training step in the channels-last memory format, and with BatchNorm folded into the convolutions.

Timed are forward and backward of a step with the detection loss, on one random image, with a ResNet-50. The same weights run
in four ways that take turns: as training runs by default (`plain`), in the channels-last format, with the scale of BatchNorm
multiplied into the kernels of the convolution before it (`folded`), and with both. Ratios are medians over turns, to `plain`.
"""

import os
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from analysis.bench import Aim, in_turn, machine, ratio_numbers
from analysis.bench.step import FULL_SIZE, TINY, distiller, random_batch
from core import detectors
from core.detectors.base import Detector
from core.nn.backbones import Backbone, Norm
from train.memory.allocator import keep_freed_memory

SIZE, THREADS, TURNS = (480, 640), (1, 2), 4
WAYS = ("channels_last", "folded", "folded_channels_last")
PAYS = 0.93  # the largest ratio that would make a way the default on the CPU


def run() -> tuple[list[dict], list[Aim]]:
    """Times every detector with every number of threads."""
    quick, before = os.environ.get("QUICK") == "1", torch.get_num_threads()
    keep_freed_memory()
    rows = [machine(max(THREADS))]
    options: dict[str, Any] = TINY | {"backbone": "tiny8x1"} if quick else {"backbone": "resnet50"}
    try:
        for kind in FULL_SIZE:
            torch.manual_seed(0)
            models = in_every_way(detectors.build(kind, **options))
            for threads in (1,) if quick else THREADS:
                torch.set_num_threads(threads)
                rows.append(row(kind, models, (64, 96) if quick else SIZE, threads, 1 if quick else TURNS))
    finally:
        torch.set_num_threads(before)
    return rows, [aim(way, rows) for way in WAYS]


def aim(way: str, rows: list[dict]) -> Aim:
    """The aim of a way: that it pays for every detector and number of threads."""
    worst = max(row[way] for row in rows if way in row)
    return Aim(f"{way} in at most {PAYS} of the plain step, to be the default", worst, worst <= PAYS)


def in_every_way(model: Detector) -> dict[str, Detector]:
    """The detector as it is under the name "plain", and a copy for each way."""
    models = {"plain": model, "folded": deepcopy(model)}
    backbone = models["folded"].own_backbone
    assert backbone is not None, "the detectors written here have one"
    fold(backbone)
    sources = {"channels_last": models["plain"], "folded_channels_last": models["folded"]}
    return models | {way: deepcopy(x).to(memory_format=torch.channels_last) for way, x in sources.items()}


def row(kind: str, models: dict[str, Detector], size: tuple[int, int], threads: int, turns: int) -> dict:
    """The time of the plain step, and the ratio of each way to it."""
    batch = random_batch(1, *size, models["plain"].config.classes)

    def step(of: Detector) -> Callable[[], None]:
        distil = distiller(of, ("detection",))
        return lambda: distil(*batch).total.backward()

    seconds = in_turn({way: step(x) for way, x in models.items()}, turns)
    return {
        "case": f"{kind}, step, {size[0]} x {size[1]}, {threads} thread{'s' * (threads > 1)}",
        "plain_ms": round(1e3 * min(seconds["plain"]), 1),
        **{way: ratio_numbers(seconds[way], seconds["plain"])["ratio"] for way in WAYS},
    }


class FoldedConvolution(nn.Module):
    """A convolution followed by BatchNorm with stored statistics, as one convolution whose kernels are trained."""

    def __init__(self, convolution: nn.Conv2d, norm: Norm):
        super().__init__()
        self.convolution, self.norm = convolution, norm

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        norm, convolution = self.norm, self.convolution
        assert norm.running_mean is not None and norm.running_var is not None  # statistics are always stored
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        kernels, shift = convolution.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
        return F.conv2d(x, kernels, shift, convolution.stride, convolution.padding, convolution.dilation)


def fold(backbone: Backbone) -> Backbone:
    """Folds each BatchNorm into the convolution that stands directly before it; returns the backbone."""
    for module in [module for stage in backbone.stages for module in stage.modules()]:
        for (name, first), (norm_name, second) in pairwise(list(module.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, Norm):
                setattr(module, name, FoldedConvolution(first, second))
                setattr(module, norm_name, nn.Identity())
    return backbone
