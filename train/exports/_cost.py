"""The cost of using a student: its parameters, FLOPs and time.

Those of a distilled student stand beside those of the same network before distillation, which must not add to any of them.
"""

from statistics import median
from time import perf_counter

import torch
from torch.utils.flop_counter import FlopCounterMode

from core import detectors
from core.detectors.base import Detector
from core.types import Images

TURNS = 5  # forward passes of each network that are timed


def cost(detector: Detector, images: Images, *, distilled: bool) -> dict[str, dict[str, float]]:
    """Parameters, FLOPs of matrix products and convolutions, and the median seconds of a forward pass.

    One row for the `student`, and if it was distilled one for the same network with new weights, `undistilled`; their times
    are measured in turns, so that a slow moment of the machine affects both.
    """
    models = {"student": detector}
    if distilled:
        models["undistilled"] = detectors.module(detectors.name_of(detector.config)).Model(detector.config).eval()
    costs = {
        name: {"parameters": sum(p.numel() for p in model.parameters()), "flops": flops(model, images)}
        for name, model in models.items()
    }
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(TURNS):
        for name, model in models.items():
            times[name].append(seconds(model, images))
    return {name: costs[name] | {"seconds": median(times[name])} for name in models}


def flops(detector: Detector, images: Images) -> int:
    """FLOPs of a forward pass; a multiplication with its addition counts 2."""
    with (
        torch.enable_grad(),
        FlopCounterMode(display=False) as counter,
    ):  # the counter needs gradients to follow modules
        detector(images)
    return counter.get_total_flops()


@torch.no_grad()
def seconds(detector: Detector, images: Images) -> float:
    """Seconds of one forward pass."""
    begun = perf_counter()
    detector(images)
    return perf_counter() - begun


def text(costs: dict[str, dict[str, float]], images: Images) -> str:
    """The costs as text, a line for each network, and the size of the image."""
    height, width = images.pixels.shape[-2:]
    lines = [
        f"{name:<12} {row['parameters']:,} parameters, {row['flops'] / 1e9:.3f} GFLOPs, {1e3 * row['seconds']:.1f} ms"
        for name, row in costs.items()
    ]
    return "\n".join([*lines, f"{'':<12} for an image of {height} x {width} on this CPU"])
