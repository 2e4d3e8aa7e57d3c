"""Augmentation: pure functions of a sample and of a random generator, which alone decides what is drawn.

The order of the draws is part of the results: a draw that is added, left out or moved changes every training.
"""

from dataclasses import dataclass, replace

import torch
from numpy.random import Generator
from torchvision.transforms.v2 import functional as F

from core.data.sample import Sample
from core.limits import Share, Size, Weight

CROP_SHORT = (400, 500, 600)  # DETR's second branch: the short side before the crop ...
CROP_SIDES = (384, 600)  # ... and the range of the sides of the crop at that scale


@dataclass(frozen=True)
class Augment:
    """The augmentation of training images, and the size of validation images."""

    flip: Share = 0.5  # Probability of mirroring a training image left to right.
    jitter: Weight = 0.0  # Brightness, contrast and saturation are each scaled by 1 - jitter to 1 + jitter.
    sizes: tuple[Size, ...] = ()  # Short sides in pixels, drawn at random for each image. Default: keep.
    eval_size: Size | None = None  # Short side in evaluation; None takes the largest of the sizes.
    longest: Size = 1333  # Limit of the long side, in pixels.
    square: bool = False  # Resize to squares of that side, one for all images of a step, as RT-DETR and its kin do.
    crop: bool = False  # Crop half of the training images, drawn at random, before they are resized.

    @property
    def eval_short(self) -> int | None:
        """The short side of images in evaluation, in pixels, or the side of squares; None: images keep their size."""
        side = self.eval_size or max(self.sizes, default=None)
        return min(side, self.longest) if side and self.square else side


DETR = Augment(sizes=tuple(range(480, 801, 32)), crop=True)  # on COCO; Conditional and Deformable DETR use the same


def train_transform(sample: Sample, rng: Generator, augment: Augment, side: int | None = None) -> Sample:
    """The sample flipped, jittered, cropped and resized at random, as `augment` says, or to squares of a given `side`."""
    if rng.random() < augment.flip:
        sample = flip(sample)
    if augment.jitter:
        sample = jitter(sample, rng, augment.jitter)
    if augment.crop and rng.random() < 0.5:
        sample = random_crop(sample, rng)
    short = int(rng.choice(augment.sizes)) if augment.sizes else None
    return resize(sample, side or short, augment.longest, square=augment.square)


def square_side(rng: Generator, augment: Augment) -> int | None:
    """The side, drawn at random, of all squares of a step; None if there are no squares of several sizes.

    A detector that needs squares sees padding as a part of the image, so a step has to have one size.
    """
    return int(rng.choice(augment.sizes)) if augment.square and len(set(augment.sizes)) > 1 else None


def eval_transform(sample: Sample, augment: Augment) -> Sample:
    """The sample resized to the size in evaluation of `augment`; nothing is random."""
    return resize(sample, augment.eval_short, augment.longest, square=augment.square)


def flip(sample: Sample) -> Sample:
    """The sample mirrored left to right."""
    x0, y0, x1, y1 = sample.boxes.unbind(-1)
    width = sample.size[1]
    boxes = torch.stack([width - x1, y0, width - x0, y1], -1)
    scale_x, scale_y, x, y = sample.view
    view = (-scale_x, scale_y, 1 - x, y)
    return replace(sample, pixels=F.horizontal_flip(sample.pixels), boxes=boxes, view=view)


def jitter(sample: Sample, rng: Generator, strength: float) -> Sample:
    """Brightness, contrast and saturation, in this order, each scaled by a factor of 1 - strength .. 1 + strength."""
    pixels = sample.pixels
    for adjust in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation):
        pixels = adjust(pixels, rng.uniform(max(0.0, 1 - strength), 1 + strength))
    return replace(sample, pixels=pixels)


def random_crop(sample: Sample, rng: Generator) -> Sample:
    """DETR's random crop, which is defined on the image resized to a short side of 400, 500 or 600.

    The crop is mapped to the source image and cut from it, so that pixels are resampled only once.
    Carion et al., ECCV 2020, appendix A.4, and datasets/coco.py of its release.
    """
    scale = int(rng.choice(CROP_SHORT)) / min(sample.size)
    low, high = CROP_SIDES
    sides = [int(rng.integers(low, min(int(side * scale), high), endpoint=True)) for side in sample.size]
    height, width = (min(max(1, round(new / scale)), old) for new, old in zip(sides, sample.size))
    top = int(rng.integers(sample.size[0] - height, endpoint=True))
    left = int(rng.integers(sample.size[1] - width, endpoint=True))
    return crop(sample, top, left, height, width)


def crop(sample: Sample, top: int, left: int, height: int, width: int) -> Sample:
    """The part of the image, with boxes clipped to it. Objects whose clipped box is empty are dropped."""
    corner, limit = torch.tensor([left, top, left, top]), torch.tensor([width, height, width, height])
    boxes = (sample.boxes - corner).clamp(min=0).minimum(limit)
    keep = (boxes[:, 2:] > boxes[:, :2]).all(-1)
    pixels = F.crop(sample.pixels, top, left, height, width)
    weights = None if sample.weights is None else sample.weights[keep]
    (old_height, old_width), (scale_x, scale_y, x, y) = sample.size, sample.view
    larger_x, larger_y = old_width / width, old_height / height
    view = (scale_x * larger_x, scale_y * larger_y, x * larger_x - left / width, y * larger_y - top / height)
    return replace(sample, pixels=pixels, boxes=boxes[keep], labels=sample.labels[keep], weights=weights, view=view)


def resize(sample: Sample, short: int | None, longest: int, *, square: bool = False) -> Sample:
    """The sample with a short side of `short` pixels (None: unchanged), or smaller, so that no side exceeds `longest`.

    With `square` both sides are `short` (None: as long as the longer side), at most `longest`.
    """
    new = resized_size(sample.size, short, longest)
    if square:
        new = (min(short or max(sample.size), longest),) * 2
    if new == sample.size:
        return sample
    height, width = sample.size
    ratio = torch.tensor([new[1] / width, new[0] / height] * 2)
    return replace(sample, pixels=F.resize(sample.pixels, list(new), antialias=True), boxes=sample.boxes * ratio)


def resized_size(size: tuple[int, int], short: int | None, longest: int) -> tuple[int, int]:
    """(height, width) after `resize`, rounded as in DETR's datasets/transforms.py, but never beyond `longest`.

    The long side is rounded down to a whole pixel.
    """
    low, high = min(size), max(size)
    short = low if short is None else short
    if high * short > longest * low:
        short = max(1, round(longest * low / high))
    long = min(longest, max(1, int(short * high / low)))
    return (short, long) if size[0] <= size[1] else (long, short)
