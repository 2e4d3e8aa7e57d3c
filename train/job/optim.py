"""The optimiser, its learning-rate schedules, and what each loss counts in a step."""

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.optim import AdamW

from core.errors import UserError
from core.losses.base import Loss
from train.run import Distil, Optim


def optimizer(module: nn.Module, optim: Optim) -> AdamW:
    """AdamW over the trainable weights; `base` of each parameter group is its learning rate without the schedule."""
    return AdamW(parameter_groups(module, optim), lr=optim.lr, weight_decay=optim.weight_decay, fused=True)


def parameter_groups(module: nn.Module, optim: Optim) -> list[dict]:
    """The groups `backbone` and `slow`, which have their own learning rates, and the `rest`; empty groups are left out.

    UserError: no parameter matches one of the names in `optim.slow`.
    """
    parts: dict[str, list[nn.Parameter]] = {"rest": [], "backbone": [], "slow": []}
    for name, parameter in trainable(module).items():
        parts[group_name(name, optim)].append(parameter)
    for part in optim.slow:
        if not any(part in name.split(".") for name in trainable(module)):
            raise UserError(
                f"--optim.slow names {part!r}, which is part of no name of the student's weights; leave it out"
            )
    scale = {"rest": 1.0, "backbone": optim.backbone_lr, "slow": optim.slow_lr}
    return [{"params": p, "base": optim.lr * scale[name], "name": name} for name, p in parts.items() if p]


def group_name(name: str, optim: Optim) -> str:
    """The group of a parameter, by the dot-separated parts of its name: backbone, slow or rest."""
    parts = name.split(".")
    if "backbone" in parts:
        return "backbone"
    return "slow" if set(parts) & set(optim.slow) else "rest"


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Sets the learning rate of each group to `factor` times its base."""
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * factor


def rate_factor(optim: Optim, step: int, steps: int) -> float:
    """The learning rate in a step (0 to steps - 1) as a fraction of `lr`: the warm-up times the schedule."""
    return warmup_factor(optim, step) * SCHEDULES[optim.schedule](optim, step / steps)


def warmup_factor(optim: Optim, step: int) -> float:
    """Rises linearly to 1 over `warmup` steps, from `warmup_from` in the first step (as in MMDetection) or 1 / warmup."""
    if step >= optim.warmup:
        return 1.0
    if optim.warmup_from is None:
        return (step + 1) / optim.warmup
    return optim.warmup_from + (1 - optim.warmup_from) * step / optim.warmup


def cosine(optim: Optim, done: float) -> float:
    """Falls from 1 to 0 as half a cosine; `done` is the share of training that is done, 0 to 1."""
    return (1 + math.cos(math.pi * done)) / 2


def step_decay(optim: Optim, done: float) -> float:
    """Is multiplied by `drop` after each epoch of `milestones`."""
    epoch = done * optim.epochs + 1e-9  # a rounded quotient must not delay a drop by a step
    return optim.drop ** sum(epoch >= m for m in optim.milestones)


def flat_decay(optim: Optim, done: float) -> float:
    """Stays 1, then falls linearly to 0 over the last `tail` of training; is always 1 if `tail` is 0."""
    return min(1.0, (1 - done) / optim.tail) if optim.tail else 1.0


SCHEDULES = {"cosine": cosine, "step": step_decay, "flat-decay": flat_decay}


def loss_factors(losses: Mapping[str, Loss], distil: Distil, step: int, steps: int) -> dict[str, float]:
    """The number by which the weights of each loss are multiplied in a step (0 to steps - 1); 0 leaves the loss out.

    It follows from the step of the run alone, so it is the same in all processes, all passes of the step, and a resumed run.
    A loss of every k-th step counts k times as much there, so its gradient is the same on average.
    """
    share = distil_share(distil, step / steps)
    return {
        name: (1.0 if name == "detection" else share) * (loss.every if step % loss.every == 0 else 0.0)
        for name, loss in losses.items()
    }


def distil_share(distil: Distil, done: float) -> float:
    """The weight of the losses other than `detection`, as a fraction; `done` is the share of training that is done, 0 to 1."""
    if done >= distil.until:
        return 0.0
    return 1 - done / distil.until if distil.weights == "falling" else 1.0
