"""The optimiser and its rate."""

import math

import torch
from torch import nn
from torch.optim import AdamW

from train.run import Optim


def optimizer(module: nn.Module, optim: Optim) -> AdamW:
    """AdamW over what trains; `base` of each group is its rate before the schedule."""
    return AdamW(groups(module, optim), lr=optim.lr, weight_decay=optim.weight_decay, fused=True)


def groups(module: nn.Module, optim: Optim) -> list[dict]:
    """The backbone, which learns at its own rate, and the rest."""
    parts = {"rest": [], "backbone": []}
    for name, parameter in trainable(module).items():
        parts["backbone" if "backbone" in name.split(".") else "rest"].append(parameter)
    scale = {"rest": 1.0, "backbone": optim.backbone_lr}
    return [{"params": p, "base": optim.lr * scale[name], "name": name} for name, p in parts.items() if p]


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * factor


def factor(optim: Optim, step: int, steps: int) -> float:
    """The rate of step 0 .. steps - 1 as a part of `lr`: a warm-up, times one of three schedules."""
    warm = min(1.0, (step + 1) / optim.warmup) if optim.warmup else 1.0
    return warm * SCHEDULES[optim.schedule](optim, step / steps)


def cosine(optim: Optim, done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2


def drops(optim: Optim, done: float) -> float:
    epoch = done * optim.epochs + 1e-9  # a rounded quotient must not delay a drop by a step
    return optim.drop ** sum(epoch >= m for m in optim.milestones)


def flat_decay(optim: Optim, done: float) -> float:
    return min(1.0, (1 - done) / optim.tail) if optim.tail else 1.0


SCHEDULES = {"cosine": cosine, "step": drops, "flat-decay": flat_decay}
