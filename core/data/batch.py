"""Samples to a batch."""

import torch
from jaxtyping import Float
from torch import Tensor

from core.boxes import centers
from core.data.sample import Sample
from core.types import Images, Targets


def collate(samples: list[Sample]) -> tuple[Images, Targets]:
    """Pads with zeros at the bottom and on the right to the largest height and width of the batch."""
    return images(samples), targets(samples)


def images(samples: list[Sample]) -> Images:
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


def targets(samples: list[Sample]) -> Targets:
    counts = tuple(len(s.labels) for s in samples)
    return Targets(
        torch.cat([fractions(s) for s in samples]),
        torch.cat([s.labels for s in samples]),
        torch.arange(len(samples)).repeat_interleave(torch.tensor(counts)),
        counts,
    )


def fractions(sample: Sample) -> Float[Tensor, "t 4"]:
    """(cx, cy, w, h) in fractions of the sample's own width and height."""
    height, width = sample.size
    return centers(sample.boxes / torch.tensor([width, height, width, height]))
