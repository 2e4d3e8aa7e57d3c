"""Collation: a list of samples becomes one padded batch."""

import torch
from jaxtyping import Float
from torch import Tensor

from core.boxes import centers
from core.data.sample import Sample
from core.types import Images, Targets


def collate(samples: list[Sample]) -> tuple[Images, Targets]:
    """The samples as one batch: the images padded to a common size, and their objects in one flat list."""
    return collate_images(samples), collate_targets(samples)


def collate_images(samples: list[Sample]) -> Images:
    """Pads with zeros at the bottom and on the right, to the largest height and the largest width among the samples."""
    sizes = torch.tensor([s.size for s in samples])
    height, width = sizes.amax(0).tolist()
    pixels = torch.zeros(len(samples), 3, height, width, dtype=torch.uint8)
    padding = torch.ones(len(samples), height, width, dtype=torch.bool)
    for row, sample in enumerate(samples):
        h, w = sample.size
        pixels[row, :, :h, :w] = sample.pixels
        padding[row, :h, :w] = False
    return Images(
        pixels, padding, sizes, torch.tensor([s.original for s in samples]), torch.tensor([s.id for s in samples])
    )


def collate_targets(samples: list[Sample]) -> Targets:
    """The objects of all samples, one sample after another, with boxes in fractions of their own image."""
    counts = tuple(len(s.labels) for s in samples)
    return Targets(
        torch.cat([box_fractions(s) for s in samples]),
        torch.cat([s.labels for s in samples]),
        torch.arange(len(samples)).repeat_interleave(torch.tensor(counts)),
        counts,
    )


def box_fractions(sample: Sample) -> Float[Tensor, "t 4"]:
    """Boxes as (cx, cy, w, h) in fractions of the sample's width and height, before any padding."""
    height, width = sample.size
    return centers(sample.boxes / torch.tensor([width, height, width, height]))
