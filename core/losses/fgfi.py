"""FGFI: imitate the teacher's features near objects.

Wang et al., Distilling Object Detectors with Fine-grained Feature Imitation, CVPR 2019, arXiv 1906.03609; release
twangnh/Distilling-Object-Detectors. A place is near an object if one of its anchors has an IoU with it above psi times
the highest IoU that any anchor has with it. With I the places that are near any object, N of them,

    1/(2 N) sum I (F_T - f(F_S))^2        over channels and places

times lambda = 0.01, the release's. The release leaves this term out for the first 400 steps, which is not reproduced.

A DETR has no anchors, so every level uses those of the paper's detector, Faster R-CNN on COCO: sides of 32 to 512 pixels and
three shapes, centred on each place that is not padding. The paper also leaves open, and these are the choices here: the highest
IoU is taken for each level, so that every level imitates near every object; N counts the places of an image on all its levels;
losses are averaged over images, and an image without objects has loss 0; f is phi (the release has a 3x3 convolution, and a ReLU
for its rectified maps); levels of different strides are compared on the teacher's places.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from math import sqrt
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.boxes import in_pixels
from core.limits import Items, Positive, Share, Weight
from core.losses._imitation import Imitation, Level, Source
from core.losses.base import DetectorSpec, Loss, normaliser, require_teacher
from core.matching.costs import padded_targets
from core.types import Assignment, Outcome, Targets, Trace

LAMBDA = 0.01  # weight of the loss
Some = Annotated[tuple[Positive, ...], Items(1)]


@dataclass(frozen=True)
class Config:
    """The threshold of IoU, and the anchors."""

    weight: Weight = 0.0  # Weight of the whole loss; 0 leaves it out.
    psi: Share = 0.5  # Threshold as a share of an object's highest IoU: 0 takes every anchor that touches it, 1 none.
    sides: Some = (32.0, 64.0, 128.0, 256.0, 512.0)  # Sides of the anchors, root of the area, in pixels.
    ratios: Some = (0.5, 1.0, 2.0)  # Heights of the anchors divided by their widths.
    source: Source = "neck"  # Features to imitate: the encoder's (the neck's if there is no encoder), or the neck's.


class Model(Loss):
    """Imitation near objects. Weights: `imitation.adapters`, f of each level."""

    reads: tuple[str, ...] = ("memory",)

    def __init__(self, config: Config, student: DetectorSpec, teacher: DetectorSpec | None):
        super().__init__()
        teacher = require_teacher("fgfi", teacher)
        self.config = config
        self.imitation = Imitation(student, teacher, source=config.source)
        self.weights, self.notes = dict.fromkeys(self.imitation.names, LAMBDA), self.imitation.notes

    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        assert teacher is not None
        levels = self.imitation(student.memory, teacher.memory)
        near = self.near_objects(levels, targets, teacher.memory.sizes)
        places = torch.stack([x.sum((-2, -1), keepdim=True) for x in near]).sum(0).clamp(min=1)  # N
        maps = [x * (level.teacher - level.student).pow(2).sum(1) for x, level in zip(near, levels)]
        divisor = 2 * places * normaliser(targets, torch.ones_like)
        return Outcome({name: x[None] / divisor for name, x in zip(self.weights, maps)})

    @torch.no_grad()
    def near_objects(
        self, levels: list[Level], targets: Targets, sizes: Int[Tensor, "b 2"]
    ) -> list[Bool[Tensor, "b _ _"]]:
        """I of each level: whether a place is near an object. `sizes` are those of the images, (height, width) in pixels."""
        boxes = padded_targets(targets)[0]  # an image with fewer objects is padded with empty boxes, of IoU 0
        objects, shapes = in_pixels(boxes, sizes), list(anchors(self.config.sides, self.config.ratios))
        overlaps = [best_anchor_iou(level, shapes, objects) for level in levels]
        return [(x > self.config.psi * x.amax((-2, -1), keepdim=True)).any(1) for x in overlaps]


def anchors(sides: Sequence[float], ratios: Sequence[float]) -> Iterator[tuple[float, float]]:
    """(width, height) in pixels of each anchor of a place; a ratio is height / width."""
    for side in sides:
        yield from ((side / sqrt(ratio), side * sqrt(ratio)) for ratio in ratios)


def best_anchor_iou(
    level: Level, shapes: Sequence[tuple[float, float]], objects: Float[Tensor, "b t 4"]
) -> Float[Tensor, "b t h w"]:
    """The highest IoU of each object with an anchor centred on each place; 0 in padding.

    `objects` are corners in pixels, `shapes` the anchors' (width, height). Anchors of one shape differ only in their place, and
    an intersection is a product of two lengths: so the IoU is computed axis by axis, one shape at a time.
    """
    area = (objects[..., 2:] - objects[..., :2]).prod(-1)[..., None, None]
    overlaps = (anchor_iou(level, shape, objects, area) for shape in shapes)
    return reduce(torch.maximum, overlaps) * level.valid[:, None]


def anchor_iou(
    level: Level, shape: tuple[float, float], objects: Float[Tensor, "b t 4"], area: Float[Tensor, "b t 1 1"]
) -> Float[Tensor, "b t h w"]:
    """The IoU of each object, of this area, with an anchor of this (width, height), in pixels, centred on each place."""
    (width, height), low, high = shape, objects[..., :2], objects[..., 2:]
    across = overlap_length(low[..., 0], high[..., 0], width, level.stride, level.valid.shape[2])
    down = overlap_length(low[..., 1], high[..., 1], height, level.stride, level.valid.shape[1])
    intersection = down[..., None] * across[..., None, :]
    return intersection / (width * height + area - intersection)


def overlap_length(
    low: Float[Tensor, "b t"], high: Float[Tensor, "b t"], length: float, stride: int, places: int
) -> Float[Tensor, "b t n"]:
    """Length, along one axis and in pixels, of the overlap of objects with anchors of one length centred on the places."""
    centre = (torch.arange(places, device=low.device) + 0.5) * stride
    start, end = (centre - length / 2), (centre + length / 2)
    return (torch.minimum(high[..., None], end) - torch.maximum(low[..., None], start)).clamp(min=0)
