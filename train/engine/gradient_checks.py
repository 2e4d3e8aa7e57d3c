"""No term that does nothing, and what each loss pulls at: looks at a step between its forward and its backward pass.

The first look costs a backward pass for each distillation term; a term that has once reached the student is not looked at
again. A look at the gradients of the losses costs, for each, a backward pass down to the neck.
"""

import torch
from torch import Tensor, nn

from core.distiller import Distiller
from core.errors import UserError
from core.types import DistillTrace
from train.distributed.parallel import gathered

PATIENCE = 20  # steps with objects in which a term must have done something


class Watch:
    """`alive` names the terms whose gradient has reached the student, in any process."""

    def __init__(self, distiller: Distiller):
        self.distiller, self.steps, self.idle = distiller, 0, terms(distiller)
        self.decoder: list[nn.Parameter] | None = None

    def refuse_idle(self, trace: DistillTrace | None, *, objects: int, scale: float) -> None:
        """UserError: a gradient reaches the teacher, or a term has done nothing for too long."""
        if trace is not None:
            refuse_taught_teacher(self.distiller, trace)
        norms = [0.0] * len(self.idle) if trace is None else self.norms(trace, scale)
        alive = torch.tensor(gathered([int(norm > 0) for norm in norms])).any(0).tolist()
        self.idle = [name for name, moved in zip(self.idle, alive) if not moved]
        self.steps += objects > 0
        if self.idle and self.steps >= PATIENCE:
            raise UserError(
                f"the term {self.idle[0]} did nothing in the first {PATIENCE} steps with objects: no gradient of it reaches the "
                "student; look at the teacher and at what the student freezes, or set the weight of that loss to 0"
            )

    def norms(self, trace: DistillTrace, scale: float) -> list[float]:
        """L2 norm of the gradient of each idle term in the student's weights."""
        inputs = [p for p in self.distiller.student.parameters() if p.requires_grad]
        found = []
        for name in self.idle:
            loss, key = name.split("/")
            found.append(norm(gradient(scale * trace.outcomes[loss].maps[key].sum(), inputs), trace.total))
        return torch.stack(found).tolist()

    def pulls(self, trace: DistillTrace, scale: float) -> dict[str, dict[str, float]]:
        """L2 norm of the gradient of each loss, weighted, in the neck's features of the student and in its decoder."""
        features = [x for x in trace.student.memory.neck if x.requires_grad]
        decoder = self.decoder_of(trace, features)
        found = []
        for name, maps in self.distiller.weights.items():
            total = sum(scale * w * trace.outcomes[name].maps[key].sum() for key, w in maps.items())
            parts = gradient(total, [*features, *decoder])
            found += [norm(parts[: len(features)], trace.total), norm(parts[len(features) :], trace.total)]
        values = (torch.stack(found) / scale).tolist()
        return {
            name: {"features": values[2 * k], "decoder": values[2 * k + 1]}
            for k, name in enumerate(self.distiller.weights)
        }

    def decoder_of(self, trace: DistillTrace, features: list[Tensor]) -> list[nn.Parameter]:
        """What of the student trains and has no part in its features."""
        if self.decoder is None:
            inputs = [p for p in self.distiller.student.parameters() if p.requires_grad]
            tokens = [] if trace.student.memory.tokens is None else [trace.student.memory.tokens]
            made = [x.sum() for x in [*features, *tokens] if x.requires_grad]
            used = gradient(torch.stack(made).sum(), inputs) if made else [None] * len(inputs)
            self.decoder = [p for p, g in zip(inputs, used) if g is None]
        return self.decoder


def terms(distiller: Distiller) -> list[str]:
    """Of distillation, as loss/map."""
    return [f"{name}/{key}" for name, maps in distiller.weights.items() if name != "detection" for key in maps]


def refuse_taught_teacher(distiller: Distiller, trace: DistillTrace) -> None:
    if trace.teacher is None:
        return
    found = [x for p in trace.teacher.predictions.values() for x in vars(p).values()]
    if any(x.requires_grad for x in [*found, *trace.teacher.memory.neck, *distiller.teacher.parameters()]):
        raise UserError("a gradient reaches the teacher; its forward pass must run without, and its weights not train")


def gradient(total: Tensor, inputs: list[Tensor]) -> list[Tensor | None]:
    if not inputs or not total.requires_grad:
        return [None] * len(inputs)
    return list(torch.autograd.grad(total, inputs, retain_graph=True, allow_unused=True))


def norm(parts: list[Tensor | None], like: Tensor) -> Tensor:
    """Of all parts together, on the device of `like`."""
    there = [x.float() for x in parts if x is not None]
    if not there:
        return torch.zeros((), device=like.device)
    return torch.stack(torch._foreach_norm(there)).norm()
