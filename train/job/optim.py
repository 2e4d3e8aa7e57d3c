"""The optimiser and its rate."""

import math

import torch
from torch import nn
from torch.optim import AdamW

from core.errors import UserError
from train.run import Optim


def optimizer(module: nn.Module, optim: Optim) -> AdamW:
    """AdamW over what trains; `base` of each group is its rate before the schedule."""
    return AdamW(groups(module, optim), lr=optim.lr, weight_decay=optim.weight_decay, fused=True)


def groups(module: nn.Module, optim: Optim) -> list[dict]:
    """The backbone and the `slow` weights, which learn at rates of their own, and the rest.

    UserError: a name among `slow` is that of no weight.
    """
    parts = {"rest": [], "backbone": [], "slow": []}
    for name, parameter in trainable(module).items():
        parts[group_of(name, optim)].append(parameter)
    for part in optim.slow:
        if not any(part in name.split(".") for name in trainable(module)):
            raise UserError(
                f"--optim.slow names {part!r}, which is part of no name of the student's weights; leave it out"
            )
    scale = {"rest": 1.0, "backbone": optim.backbone_lr, "slow": optim.slow_lr}
    return [{"params": p, "base": optim.lr * scale[name], "name": name} for name, p in parts.items() if p]


def group_of(name: str, optim: Optim) -> str:
    parts = name.split(".")
    if "backbone" in parts:
        return "backbone"
    return "slow" if set(parts) & set(optim.slow) else "rest"


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * factor


def factor(optim: Optim, step: int, steps: int) -> float:
    """The rate of step 0 .. steps - 1 as a part of `lr`: a warm-up, times one of three schedules."""
    return warm(optim, step) * SCHEDULES[optim.schedule](optim, step / steps)


def warm(optim: Optim, step: int) -> float:
    """A line from `warmup_from` at the first step, as mmdet's, or from 1 / warmup."""
    if step >= optim.warmup:
        return 1.0
    if optim.warmup_from is None:
        return (step + 1) / optim.warmup
    return optim.warmup_from + (1 - optim.warmup_from) * step / optim.warmup


def cosine(optim: Optim, done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2


def drops(optim: Optim, done: float) -> float:
    epoch = done * optim.epochs + 1e-9  # a rounded quotient must not delay a drop by a step
    return optim.drop ** sum(epoch >= m for m in optim.milestones)


def flat_decay(optim: Optim, done: float) -> float:
    return min(1.0, (1 - done) / optim.tail) if optim.tail else 1.0


SCHEDULES = {"cosine": cosine, "step": drops, "flat-decay": flat_decay}
