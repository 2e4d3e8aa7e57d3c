"""Sampling locations: the points at which the queries of a decoder read the image, or the tokens to which they attend.

They are obtained by decoding again with hooks, so that training stores nothing.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from core.boxes import corners
from core.detectors.base import Detector
from core.types import Memory, Queries


@dataclass(frozen=True)
class SamplingLocations:
    """The n locations that each query reads in one decoder layer."""

    places: Float[Tensor, "b q n 2"]  # (x, y) in fractions of the image without padding, or outside of [0, 1]
    weights: Float[Tensor, "b q n"]  # sum to 1 over n


@torch.no_grad()
def sampling_locations(detector: Detector, memory: Memory, queries: Queries) -> tuple[SamplingLocations, ...]:
    """The locations of each decoder layer, for these queries; empty for a detector without `samplers`."""
    locations: list[SamplingLocations] = []
    size = memory.sizes.flip(-1)[:, None, None]  # (width, height)

    def collect(sampler: Any, arguments: tuple, output: object) -> None:
        pixels, weights = sampler.sampling_locations(memory, *arguments)
        locations.append(SamplingLocations(pixels / size, weights))

    hooks = [sampler.register_forward_hook(collect) for sampler in detector.samplers]
    try:
        detector.decode(memory, queries)
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(locations)


def mass_in_boxes(locations: SamplingLocations, boxes: Float[Tensor, "b q 4"]) -> Float[Tensor, "b q"]:
    """The share of each query's weight at locations inside its box (cx, cy, w, h)."""
    low, high = corners(boxes)[:, :, None].split(2, dim=-1)
    inside = ((locations.places >= low) & (locations.places <= high)).all(-1)
    return (locations.weights * inside).sum(-1)
