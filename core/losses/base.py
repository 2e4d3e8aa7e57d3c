"""What a loss is. To add one, write a file here with a `Config` and a `Model(Loss)`."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.errors import UserError
from core.types import Assignment, Outcome, Problem, Queries, Targets, Trace


class Loss(nn.Module, ABC):
    """Compares the traces of student and teacher.

    Built as Model(config, student, teacher) from the two detectors, of which it keeps sizes, never modules.
    May have weights of its own, such as a projection; they train with the student and are left behind with the loss.
    `config.weight` scales the loss as a whole, and a loss of weight 0 is not built.
    """

    weights: dict[str, float]  # of each map, before config.weight
    notes: tuple[str, ...] = ()  # what whoever starts a run should know of this pair of detectors, a line each
    # Where the student is the teacher it is 0; or as low as its own weights have learnt to make it, as its file says; or
    # the detection loss, since it asks the truth.
    least: Literal["zero", "learnt", "truth"] = "zero"
    adds_up: bool = True  # over the parts of a step, in eval mode; False: its file says why

    def ask(self, student: Queries, teacher: Queries | None, targets: Targets) -> dict[str, Queries]:
        """Further groups of queries that the student shall decode, by name."""
        return {}

    def problems(self, student: Trace, teacher: Trace | None, targets: Targets) -> dict[str, Problem]:
        """Assignments that it wants solved, in this order; the Distiller solves those of all losses at once."""
        return {}

    def cost_parts(self, student: Trace, teacher: Trace | None, targets: Targets) -> dict[str, dict[str, Tensor]]:
        """What the costs of its problems are made of, "l b q t" and unweighted, under the names that `weights` has them."""
        return {}

    def with_layers(self, a: Assignment) -> Assignment:
        """An assignment of one of its problems, in the layers of student and teacher instead of the problem's own."""
        return a

    @abstractmethod
    def forward(
        self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]
    ) -> Outcome: ...


def require_teacher(name: str, teacher) -> None:
    if teacher is None:
        raise UserError(f"the loss {name!r} needs a teacher: give --teacher RUN, or set --losses.{name}.weight 0")


def normaliser(targets: Targets, each: Callable[[Tensor], Tensor] = torch.Tensor.clone) -> Float[Tensor, ""]:
    """The sum over the images of the whole step of `each` of an image's objects, at least 1, by the number of processes.

    What a loss divides its sum by. Gradients are averaged over processes and added over passes, so the step is that of
    one process with all the images. By default objects, as in DETR; `torch.ones_like` gives images.
    """
    counts = targets.step
    if counts is None:
        counts = torch.tensor(targets.counts).to(targets.labels.device, non_blocking=True)
    total = (each(counts.clamp(min=0)) * (counts >= 0)).sum().float()
    return total.clamp(min=1) / targets.processes


def scatter_to_queries(
    values: Float[Tensor, " m"], a: Assignment, *, like: Float[Tensor, "l b q c"]
) -> Float[Tensor, "l b q"]:
    """Values of pairs, at the places of their queries; a query in several pairs has their sum."""
    return torch.zeros_like(like[..., 0], dtype=values.dtype).index_put(a.index, values, accumulate=True)
