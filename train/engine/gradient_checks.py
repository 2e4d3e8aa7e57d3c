"""Checks of one step's gradients, made between its forward and its backward pass.

Two questions: does every distillation term move the student at all, and how large is the gradient of each loss. The first
costs a backward pass for each term, until that term has once reached the student. The second costs a backward pass down to
the neck for each loss.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from core.distiller import Distiller, multiplied
from core.errors import UserError
from core.types import DistillTrace
from train.distributed.parallel import gather_numbers

PATIENCE = 20  # steps with objects in which every term must have reached the student


class GradientChecks:
    """The checks of one training run. `inactive` names the terms (loss/map) without a gradient so far, in any process."""

    def __init__(self, distiller: Distiller):
        self.distiller, self.steps, self.inactive = distiller, 0, distillation_terms(distiller)
        self.decoder: list[nn.Parameter] | None = None  # found in the first step that is measured

    def refuse_inactive(
        self, trace: DistillTrace | None, *, objects: int, scale: float, factors: Mapping[str, float] | None = None
    ) -> None:
        """Takes terms with a gradient off `inactive`. UserError: a term stays there, or a gradient reaches the teacher.

        `trace` is None where this process's forward pass failed; `objects` are those of the whole step; `scale` is that of
        the fp16 scaler, without which small gradients would vanish. Steps whose `factors` leave out a loss that has a term in
        `inactive` do not count.
        """
        if trace is not None:
            refuse_teacher_gradient(self.distiller, trace)
        computed = [name for name in self.inactive if factors is None or factors[name.split("/")[0]]]
        if not computed:
            return
        norms = [0.0] * len(computed) if trace is None else self.term_norms(trace, computed, scale)
        active = torch.tensor(gather_numbers([int(norm > 0) for norm in norms])).any(0).tolist()
        moved = {name for name, is_active in zip(computed, active) if is_active}
        self.steps += objects > 0 and len(computed) == len(self.inactive)
        self.inactive = [name for name in self.inactive if name not in moved]
        if self.inactive and self.steps >= PATIENCE:
            raise UserError(
                f"the term {self.inactive[0]} did nothing in the first {PATIENCE} steps with objects: no gradient of it "
                "reaches the student; look at the teacher and at what the student freezes, or set the weight of that loss to 0"
            )

    def term_norms(self, trace: DistillTrace, terms: list[str], scale: float) -> list[float]:
        """L2 norm of the gradient of each of the terms with respect to the student's weights."""
        weights = [p for p in self.distiller.student.parameters() if p.requires_grad]
        norms = []
        for name in terms:
            loss, key = name.split("/")
            norms.append(norm(gradients(scale * trace.outcomes[loss].maps[key].sum(), weights), like=trace.total))
        return torch.stack(norms).tolist()

    def loss_norms(
        self, trace: DistillTrace, scale: float, factors: Mapping[str, float] | None = None
    ) -> dict[str, dict[str, float]]:
        """L2 norms of the gradient of each weighted loss: with respect to the student's neck `features` and its `decoder`.

        Weights are multiplied by `factors`; a loss that they leave out has no entry.
        """
        weights = multiplied(self.distiller.weights, factors)
        features = [x for x in trace.student.memory.neck if x.requires_grad]
        decoder = self.decoder_parameters(trace, features)
        norms = []
        for name, maps in weights.items():
            total = sum(scale * w * trace.outcomes[name].maps[key].sum() for key, w in maps.items())
            assert isinstance(total, Tensor)  # every loss has a map
            parts = gradients(total, [*features, *decoder])
            norms += [norm(parts[: len(features)], trace.total), norm(parts[len(features) :], trace.total)]
        values = (torch.stack(norms) / scale).tolist()
        return {name: {"features": values[2 * k], "decoder": values[2 * k + 1]} for k, name in enumerate(weights)}

    def decoder_parameters(self, trace: DistillTrace, features: list[Tensor]) -> list[nn.Parameter]:
        """The student's trainable parameters that its features and encoder tokens do not depend on."""
        if self.decoder is None:
            weights = [p for p in self.distiller.student.parameters() if p.requires_grad]
            tokens = [] if trace.student.memory.tokens is None else [trace.student.memory.tokens]
            sums = [x.sum() for x in [*features, *tokens] if x.requires_grad]
            used = gradients(torch.stack(sums).sum(), weights) if sums else [None] * len(weights)
            self.decoder = [p for p, g in zip(weights, used) if g is None]
        return self.decoder


def distillation_terms(distiller: Distiller) -> list[str]:
    """The terms of all losses but detection, as loss/map."""
    return [f"{name}/{key}" for name, maps in distiller.weights.items() if name != "detection" for key in maps]


def refuse_teacher_gradient(distiller: Distiller, trace: DistillTrace) -> None:
    """UserError: a tensor of the teacher's forward pass, or one of its weights, requires a gradient."""
    if trace.teacher is None or distiller.teacher is None:
        return
    outputs = [x for p in trace.teacher.predictions.values() for x in vars(p).values()]
    if any(x.requires_grad for x in [*outputs, *trace.teacher.memory.neck, *distiller.teacher.parameters()]):
        raise UserError("a gradient reaches the teacher; its forward pass must run without, and its weights not train")


def gradients(total: Tensor, inputs: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradient of `total` with respect to each input, None where it does not depend on it. Keeps the graph."""
    if not inputs or not total.requires_grad:
        return [None] * len(inputs)
    return list(torch.autograd.grad(total, inputs, retain_graph=True, allow_unused=True))


def norm(parts: list[Tensor | None], like: Tensor) -> Tensor:
    """L2 norm of all parts together, a scalar on the device of `like`; parts that are None count 0."""
    tensors = [x.float() for x in parts if x is not None]
    if not tensors:
        return torch.zeros((), device=like.device)
    return torch.stack(torch._foreach_norm(tensors)).norm()
