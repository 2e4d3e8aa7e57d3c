"""Where a decoder's queries read the image: sampling points, or attention; by decoding once more, so training keeps none."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.boxes import corners
from core.detectors.base import Detector
from core.types import Memory, Queries


@dataclass(frozen=True)
class SamplingLocations:
    """Of one decoder layer: (x, y) in [0, 1] of the image without its padding, or beyond; weights sum to 1 over n."""

    places: Float[Tensor, "b q n 2"]
    weights: Float[Tensor, "b q n"]


@torch.no_grad()
def sampling_locations(detector: Detector, memory: Memory, queries: Queries) -> tuple[SamplingLocations, ...]:
    """Of each decoder layer; nothing of a detector that names no `samplers`."""
    found: list[SamplingLocations] = []
    size = memory.sizes.flip(-1)[:, None, None]  # (width, height)

    def listen(sampler, arguments, _) -> None:
        pixels, weights = sampler.sampling_locations(memory, *arguments)
        found.append(SamplingLocations(pixels / size, weights))

    hooks = [sampler.register_forward_hook(listen) for sampler in detector.samplers]
    try:
        detector.decode(memory, queries)
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(found)


def mass_in_boxes(reading: SamplingLocations, boxes: Float[Tensor, "b q 4"]) -> Float[Tensor, "b q"]:
    """The share of each query's weight at places inside its own box."""
    low, high = corners(boxes)[:, :, None].split(2, dim=-1)
    inside = ((reading.places >= low) & (reading.places <= high)).all(-1)
    return (reading.weights * inside).sum(-1)
