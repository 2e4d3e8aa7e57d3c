"""FGFI: imitate the teacher's features near objects.

Wang et al., Distilling Object Detectors with Fine-grained Feature Imitation, CVPR 2019, arXiv 1906.03609; release
twangnh/Distilling-Object-Detectors. Near an object are the places of those anchors whose IoU with it exceeds psi times
the highest that any anchor has with it; with I the places that are near any object, N of them,

    1/(2 N) sum I (F_T - f(F_S))^2        over channels and places

times lambda = 0.01, the release's. It trains for 400 steps without this term, which is not reproduced.

A DETR has no anchors, so those of the paper's detector stand in on every level: Faster R-CNN's on COCO, of 32 to 512
pixels and three shapes, in the middle of each place that is no padding. Left open, too, and chosen here: the highest IoU
is a level's own, so that every level imitates near every object, as every level is read for each; N is of an image and
all its levels; images are averaged, and one without objects is 0; f is phi (the release has a 3x3 convolution, and a ReLU
for its rectified maps); a pair of other strides meets on the teacher's places.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from math import sqrt

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.boxes import in_pixels
from core.losses._imitation import Imitation, Level, Source
from core.losses.base import Loss, normaliser, require_teacher
from core.matching.costs import padded_targets
from core.types import Outcome, Targets

LAMBDA = 0.01


@dataclass(frozen=True)
class Config:
    weight: float = 0.0  # Weight of the whole loss; 0 leaves it out.
    psi: float = 0.5  # Threshold as a share of an object's highest IoU: 0 takes every anchor that touches it, 1 none.
    sides: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)  # Sides of the anchors, root of the area, in pixels.
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # Heights of the anchors divided by their widths.
    source: Source = "neck"  # Features to imitate: the encoder's (the neck's if there is no encoder), or the neck's.


class Model(Loss):
    def __init__(self, config: Config, student, teacher):
        super().__init__()
        require_teacher("fgfi", teacher)
        self.config = config
        self.imitation = Imitation(student, teacher, source=config.source)
        self.weights, self.notes = dict.fromkeys(self.imitation.names, LAMBDA), self.imitation.notes

    def forward(self, student, teacher, targets, pairs):
        levels = self.imitation(student.memory, teacher.memory)
        near = self.near(levels, targets, teacher.memory.sizes)
        count = sum(x.sum((-2, -1), keepdim=True) for x in near).clamp(min=1)
        maps = [x * (level.teacher - level.student).pow(2).sum(1) for x, level in zip(near, levels)]
        each = 2 * count * normaliser(targets, torch.ones_like)
        return Outcome({name: x[None] / each for name, x in zip(self.weights, maps)})

    @torch.no_grad()
    def near(self, levels: list[Level], targets: Targets, sizes: Int[Tensor, "b 2"]) -> list[Bool[Tensor, "b _ _"]]:
        """I of each level."""
        boxes = padded_targets(targets)[0]  # where an image has fewer objects, an empty box, which overlaps nothing
        truth, shapes = in_pixels(boxes, sizes), list(anchors(self.config.sides, self.config.ratios))
        found = [best(level, shapes, truth) for level in levels]
        return [(x > self.config.psi * x.amax((-2, -1), keepdim=True)).any(1) for x in found]


def anchors(sides: Sequence[float], ratios: Sequence[float]) -> Iterator[tuple[float, float]]:
    """(width, height) in pixels."""
    for side in sides:
        yield from ((side / sqrt(ratio), side * sqrt(ratio)) for ratio in ratios)


def best(
    level: Level, shapes: Sequence[tuple[float, float]], truth: Float[Tensor, "b t 4"]
) -> Float[Tensor, "b t h w"]:
    """The highest IoU of each object with an anchor of each place; 0 in padding.

    Anchors of one shape differ in their place alone, and overlap an object by a length along each axis: so their IoU is
    made axis by axis, one shape at a time.
    """
    low, high = truth[..., :2], truth[..., 2:]
    area = (high - low).prod(-1)[..., None, None]

    def of(width: float, height: float) -> Float[Tensor, "b t h w"]:
        across = overlap(low[..., 0], high[..., 0], width, level.stride, level.valid.shape[2])
        down = overlap(low[..., 1], high[..., 1], height, level.stride, level.valid.shape[1])
        both = down[..., None] * across[..., None, :]
        return both / (width * height + area - both)

    return reduce(torch.maximum, (of(*shape) for shape in shapes)) * level.valid[:, None]


def overlap(
    low: Float[Tensor, "b t"], high: Float[Tensor, "b t"], length: float, stride: int, places: int
) -> Float[Tensor, "b t n"]:
    """Of objects with anchors of one length in the middle of the places, along one axis, in pixels."""
    middle = (torch.arange(places, device=low.device) + 0.5) * stride
    start, end = (middle - length / 2), (middle + length / 2)
    return (torch.minimum(high[..., None], end) - torch.maximum(low[..., None], start)).clamp(min=0)
