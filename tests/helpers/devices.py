"""What the tests of tests/gpu compare: the same small work on two devices."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch

DETECTORS = {
    "adamixer": {},
    "conditional": {},
    "deformable": {},
    "deformable two-stage": {"refine": True, "two_stage": True},
}


def moved(value: Any, device: torch.device | str) -> Any:
    """A value with all its tensors on a device."""
    return mapped(value, lambda x: x.to(device))


def copied(value: Any) -> Any:
    """A value with copies of all its tensors, without their graph."""
    return mapped(value, lambda x: x.detach().clone())


def mapped(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """A value in which every tensor is changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, tuple | list):
        return type(value)(mapped(x, change) for x in value)
    if isinstance(value, dict):
        return {key: mapped(x, change) for key, x in value.items()}
    if is_dataclass(value):
        return replace(value, **{f.name: mapped(getattr(value, f.name), change) for f in fields(value) if f.init})
    return value


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """The norm of the difference of two tensors, as a share of that of the second."""
    a, b = a.detach().cpu().double(), b.detach().cpu().double()
    return float((a - b).norm() / b.norm().clamp(min=1e-12))
