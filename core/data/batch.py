"""Collation: a list of samples becomes one padded batch."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.boxes import centers
from core.data.sample import WHOLE, Sample
from core.types import Images, Targets, Withheld


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
    original, ids = torch.tensor([s.original for s in samples]), torch.tensor([s.id for s in samples])
    changed = any(s.view != WHOLE for s in samples)
    return Images(pixels, padding, sizes, original, ids, torch.tensor([s.view for s in samples]) if changed else None)


def without_padding(images: Images, chosen: slice | Bool[Tensor, " b"], size: tuple[int, int]) -> Images:
    """The chosen images of a batch, all of which have this (height, width), without their padding."""
    height, width = size
    fields: dict[str, Any] = {name: None if x is None else x[chosen] for name, x in vars(images).items()}
    for name in ("pixels", "padding"):
        fields[name] = fields[name][..., :height, :width]
    return Images(**fields)


def collate_targets(samples: list[Sample]) -> Targets:
    """The objects of all samples, one sample after another, with boxes in fractions of their own image.

    A sample whose truth is withheld or unknown has no objects yet.
    """
    is_pending = [s.truth in ("withheld", "unknown") for s in samples]
    boxes, labels, image, counts = flat_list(samples, [not pending for pending in is_pending])
    has_weights = any(s.weights is not None for s in samples)
    weights = [object_weights(s) for s, pending in zip(samples, is_pending) if not pending] if has_weights else []
    unlabelled = tuple(s.truth != "given" for s in samples)
    return Targets(
        boxes,
        labels,
        image,
        counts,
        weights=torch.cat(weights) if weights else None,
        unlabelled=unlabelled if any(unlabelled) else (),
        pending=any(is_pending),
        withheld=withheld_objects(samples),
    )


def flat_list(
    samples: list[Sample], wanted: Sequence[bool]
) -> tuple[Float[Tensor, "t 4"], Int[Tensor, " t"], Int[Tensor, " t"], tuple[int, ...]]:
    """Boxes, labels and images of the objects of the `wanted` samples, and the number of them in every sample."""
    counts = tuple(len(s.labels) * use for s, use in zip(samples, wanted))
    none = samples[0]
    return (
        torch.cat([box_fractions(none)[:0], *(box_fractions(s) for s, use in zip(samples, wanted) if use)]),
        torch.cat([none.labels[:0], *(s.labels for s, use in zip(samples, wanted) if use)]),
        torch.arange(len(samples)).repeat_interleave(torch.tensor(counts)),
        counts,
    )


def object_weights(sample: Sample) -> Float[Tensor, " t"]:
    """The weight of each object of the sample."""
    return torch.ones(len(sample.labels)) if sample.weights is None else sample.weights


def withheld_objects(samples: list[Sample]) -> Withheld | None:
    """The objects of the samples whose truth is withheld; None if there is no such sample."""
    known = tuple(s.truth == "withheld" for s in samples)
    return Withheld(*flat_list(samples, known)[:3], known) if any(known) else None


def box_fractions(sample: Sample) -> Float[Tensor, "t 4"]:
    """Boxes as (cx, cy, w, h) in fractions of the sample's width and height, before any padding."""
    height, width = sample.size
    return centers(sample.boxes / torch.tensor([width, height, width, height]))
