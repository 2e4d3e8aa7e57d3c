"""Augmentation: pure functions of a sample and a random generator."""

from dataclasses import dataclass, replace

import torch
from numpy.random import Generator
from torchvision.transforms.v2 import functional as F

from core.data.sample import Sample

CROP_SHORT = (400, 500, 600)  # DETR's second branch: the short side before the crop ...
CROP_SIDES = (384, 600)  # ... and the sides of the crop at that scale


@dataclass(frozen=True)
class Augment:
    """What training may do to an image."""

    flip: float = 0.5  # Probability of mirroring an image left to right.
    jitter: float = 0.0  # Largest relative change of brightness, contrast and colour.
    sizes: tuple[int, ...] = ()  # Short sides in pixels, drawn at random; the largest in evaluation, none: as it is.
    longest: int = 1333  # Largest side of a resized image, in pixels.
    crop: bool = False  # Crop half of the images at random before they are resized.


DETR = Augment(sizes=tuple(range(480, 801, 32)), crop=True)  # and of its heirs, for COCO


def training(sample: Sample, rng: Generator, augment: Augment) -> Sample:
    if rng.random() < augment.flip:
        sample = flip(sample)
    if augment.jitter:
        sample = jitter(sample, rng, augment.jitter)
    if augment.crop and rng.random() < 0.5:
        sample = random_crop(sample, rng)
    short = int(rng.choice(augment.sizes)) if augment.sizes else None
    return resize(sample, short, augment.longest)


def plain(sample: Sample, augment: Augment) -> Sample:
    """As evaluation sees it: resized, nothing else."""
    return resize(sample, max(augment.sizes, default=None), augment.longest)


def flip(sample: Sample) -> Sample:
    """Left to right."""
    x0, y0, x1, y1 = sample.boxes.unbind(-1)
    width = sample.size[1]
    boxes = torch.stack([width - x1, y0, width - x0, y1], -1)
    return replace(sample, pixels=F.horizontal_flip(sample.pixels), boxes=boxes)


def jitter(sample: Sample, rng: Generator, strength: float) -> Sample:
    pixels = sample.pixels
    for adjust in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation):
        pixels = adjust(pixels, rng.uniform(max(0.0, 1 - strength), 1 + strength))
    return replace(sample, pixels=pixels)


def random_crop(sample: Sample, rng: Generator) -> Sample:
    """DETR's, at the scale where the short side is 400, 500 or 600, but cut from the source: pixels are resampled once.

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
    """Boxes are clipped to the crop; those with nothing left are dropped."""
    corner, limit = torch.tensor([left, top, left, top]), torch.tensor([width, height, width, height])
    boxes = (sample.boxes - corner).clamp(min=0).minimum(limit)
    keep = (boxes[:, 2:] > boxes[:, :2]).all(-1)
    pixels = F.crop(sample.pixels, top, left, height, width)
    return replace(sample, pixels=pixels, boxes=boxes[keep], labels=sample.labels[keep])


def resize(sample: Sample, short: int | None, longest: int) -> Sample:
    """The short side becomes `short` (None: stays), less where the long one would exceed `longest`."""
    new = resized(sample.size, short, longest)
    if new == sample.size:
        return sample
    height, width = sample.size
    ratio = torch.tensor([new[1] / width, new[0] / height] * 2)
    return replace(sample, pixels=F.resize(sample.pixels, list(new), antialias=True), boxes=sample.boxes * ratio)


def resized(size: tuple[int, int], short: int | None, longest: int) -> tuple[int, int]:
    """With DETR's rounding (datasets/transforms.py): the long side is cut to a whole pixel, but never beyond `longest`."""
    low, high = min(size), max(size)
    short = low if short is None else short
    if high * short > longest * low:
        short = max(1, round(longest * low / high))
    long = min(longest, max(1, int(short * high / low)))
    return (short, long) if size[0] <= size[1] else (long, short)
