"""What a student costs who uses it: as much as the same network that was never distilled."""

from statistics import median
from time import perf_counter

import torch
from torch.utils.flop_counter import FlopCounterMode

from core import detectors
from core.detectors.base import Detector
from core.types import Images

TURNS = 5


def cost(detector: Detector, images: Images) -> dict[str, dict[str, float]]:
    """Parameters, FLOPs of matrix products and convolutions, and the median seconds of a forward pass, measured in turns:
    of the `student`, and of the same network, `undistilled`.
    """
    both = {"student": detector, "undistilled": detectors.module(detector.kind).Model(detector.config).eval()}
    found = {
        name: {"parameters": sum(p.numel() for p in model.parameters()), "flops": flops(model, images)}
        for name, model in both.items()
    }
    times = {name: [] for name in both}
    for _ in range(TURNS):
        for name, model in both.items():
            times[name].append(seconds(model, images))
    return {name: found[name] | {"seconds": median(times[name])} for name in both}


def flops(detector: Detector, images: Images) -> int:
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:  # it follows modules by their gradients
        detector(images)
    return counter.get_total_flops()


@torch.no_grad()
def seconds(detector: Detector, images: Images) -> float:
    begun = perf_counter()
    detector(images)
    return perf_counter() - begun


def text(costs: dict[str, dict[str, float]], images: Images) -> str:
    """The costs as lines."""
    height, width = images.pixels.shape[-2:]
    lines = [
        f"{name:<12} {row['parameters']:,} parameters, {row['flops'] / 1e9:.3f} GFLOPs, {1e3 * row['seconds']:.1f} ms"
        for name, row in costs.items()
    ]
    return "\n".join([*lines, f"{'':<12} for an image of {height} x {width} on this CPU"])
