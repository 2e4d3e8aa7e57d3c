"""The contract of a loss. To add one, write a file in this folder that defines a `Config` and a `Model`.

The file's name is the loss's name. It then has flags, terms in the log and a panel in the app, and the tests in
tests/core/losses/test_losses.py run on it. The app shows the first line of the file's docstring.

    Config    A frozen dataclass whose fields all have defaults. Its field `weight` (float) scales the whole loss, and a loss of
              weight 0 is not built. Each field is a flag `--losses.NAME.FIELD`; the comment on the field is the flag's help.
    Model     A subclass of `Loss`, built as Model(config, student, teacher) with two `DetectorSpec`; the teacher is None in
              a run without one. It raises UserError, in one sentence, where the two detectors do not fit.

A loss that needs a teacher calls `require_teacher` when it is built; its methods may then assert that the teacher's trace
is not None.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.errors import UserError
from core.matching.costs import Matching
from core.types import Assignment, Decoded, Outcome, Problem, Queries, Targets, Trace


@runtime_checkable
class LossConfig(Protocol):
    """The field that every loss's `Config` has."""

    @property
    def weight(self) -> float:
        """Scale of the whole loss; 0 leaves it out."""


@runtime_checkable
class DetectorSizes(Protocol):
    """Sizes that a loss may read of a detector's configuration."""

    @property
    def layers(self) -> int:
        """Number of decoder layers."""

    @property
    def classes(self) -> int:
        """Number of classes: the last axis of the logits."""

    @property
    def queries(self) -> int:
        """Number of the detector's own queries."""


@runtime_checkable
class DetectorSpec(Protocol):
    """The attributes that a loss may read of a detector when it is built: sizes and options, never modules.

    Every `core.detectors.base.Detector` has these attributes. Losses do not import detectors.
    """

    @property
    def kind(self) -> str:
        """Name of the detector: that of its file."""

    @property
    def width(self) -> int:
        """Channels of memory and queries."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each level of memory, in pixels."""

    @property
    def proposes(self) -> bool:
        """Returns whether the queries are proposals of the encoder, held in `Queries.proposals`."""

    @property
    def proposes_classes(self) -> bool:
        """Returns whether the proposals have a logit for each class; otherwise class 0 stands for any object."""

    @property
    def bins(self) -> bool:
        """Returns whether the boxes come from distributions over bins, as those of D-FINE."""

    @property
    def query_groups(self) -> int:
        """Returns the number of groups of own queries with which the detector is trained."""

    @property
    def known(self) -> tuple[bool, ...]:
        """Returns whether the detector can predict each class; False only in a teacher of other classes."""

    @property
    def matching(self) -> Matching:
        """Weights and options of the detector's own matching and detection loss."""

    @property
    def config(self) -> DetectorSizes:
        """Configuration of the detector."""


class Loss(nn.Module, ABC):
    """Compares the traces of student and teacher.

    It keeps sizes of the detectors, never their modules. It may have weights of its own, such as an adapter; they train with
    the student, are saved in losses.safetensors, and are not part of the trained detector.
    """

    weights: dict[str, float]  # weight of each map, before config.weight
    notes: tuple[
        str, ...
    ] = ()  # what the user should know about this pair of detectors, one line each, shown when a run starts
    # Value of the loss if the student equals the teacher. "zero": 0. "learnt": as low as its own weights have learnt to make
    # it; the loss's file says more. "truth": that of the detection loss, since its targets are the true objects.
    least: Literal["zero", "learnt", "truth"] = "zero"
    # What the loss reads of the teacher's trace besides logits and boxes: "memory", "hidden" (vectors of its queries) and
    # "queries". A stored teacher need not have what no loss reads.
    reads: tuple[str, ...] = ("memory", "hidden", "queries")
    # Whether, in eval mode, the losses of the parts of a step (its processes and passes) add up to the loss of the whole step.
    # The file of a loss with False says why.
    adds_up: bool = True
    # Whether `problems` reads of the student only its own queries, those of the loss's `joint` groups, and their predictions. If
    # so, it is called before further groups are decoded, which a GPU does while the problems are solved.
    poses_early: bool = False
    joint: bool = False  # The student decodes the groups that it asks for in one pass with its own queries, if it can.
    every: int = 1  # Training computes it in every so many steps, with so many times its weight.

    def ask(self, student: Queries, teacher: Queries | None, targets: Targets) -> dict[str, Queries]:
        """Further groups of queries for the student to decode, by name.

        `student` and `teacher` are the detectors' own queries. Decoded groups are in `student.predictions` of `forward`.
        """
        return {}

    def ask_teacher(self, student: dict[str, Queries], targets: Targets) -> dict[str, Queries]:
        """Further groups of queries for the teacher to decode without gradient, by name; "own" is taken.

        `student` are all groups that the student decodes: its own queries as "own", and those that losses asked for. A group
        that both decode is to have one name. Decoded groups are in `teacher.predictions` of `forward`.
        """
        return {}

    def problems(self, student: Trace | Decoded, teacher: Trace | None, targets: Targets) -> dict[str, Problem]:
        """Assignment problems to be solved before `forward`, by name.

        The Distiller solves those of all losses at once, or in two parts (`poses_early`). The student is a `Decoded` if they are
        posed early, else a `Trace`. A problem may exclude the queries of earlier ones (`without`).
        """
        return {}

    def cost_parts(self, student: Trace, teacher: Trace | None, targets: Targets) -> dict[str, dict[str, Tensor]]:
        """Unweighted parts of the cost of each problem, "l b q t", by problem and part; for views, not for training.

        The weight of a part is `weights["PROBLEM_PART"]`.
        """
        return {}

    def with_layers(self, a: Assignment) -> Assignment:
        """Converts an assignment of one of `problems` to the layers of student (`layer`) and teacher (`target_layer`)."""
        return a

    @abstractmethod
    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        """Maps of the loss, one for each key of `weights`, and the pairs that it compared.

        Every map has axes (layer, image), then query or place; its sum is one term of the loss. `pairs` are the solutions of
        `problems`. Costs and losses are computed in float32. Sums are divided by `normaliser`.
        """


def require_teacher(name: str, teacher: DetectorSpec | None) -> DetectorSpec:
    """Returns the teacher of the loss `name`; UserError if there is none."""
    if teacher is None:
        raise UserError(f"the loss {name!r} needs a teacher: give --teacher RUN, or set --losses.{name}.weight 0")
    return teacher


def normaliser(
    targets: Targets, count: Callable[[Tensor], Tensor] = torch.Tensor.clone, least: float = 1.0
) -> Float[Tensor, ""]:
    """The number by which a loss divides its sum: a count over the whole step, at least `least`, by the number of processes.

    `count` maps the number of objects of each image to what the image adds. By default that is its objects, as in DETR;
    `torch.ones_like` counts images. Gradients are averaged over processes and added over passes, so that the step equals that
    of one process with all images.
    """
    counts = targets.step
    if counts is None:
        counts = torch.tensor(targets.counts).to(targets.labels.device, non_blocking=True)
    total = (count(counts.clamp(min=0)) * (counts >= 0)).sum().float()
    return total.clamp(min=least) / targets.processes


def scatter_to_queries(
    values: Float[Tensor, " m"], a: Assignment, *, like: Float[Tensor, "l b q c"]
) -> Float[Tensor, "l b q"]:
    """Adds the values of pairs at their queries; a query in several pairs gets their sum, one in none gets 0."""
    return torch.zeros_like(like[..., 0], dtype=values.dtype).index_put(a.index, values, accumulate=True)
