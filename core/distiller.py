"""The distillation step: decode both detectors, match, sum the losses. Training runs it with gradients, the rest without."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from core.detectors.base import Detector
from core.losses.base import Loss
from core.matching.solving import match_to_truth, solve
from core.pseudo import PseudoRule, with_pseudo_truth
from core.types import DistillTrace, Images, Memory, Outcome, Predictions, Queries, Targets, Trace

Weights = dict[str, dict[str, float]]  # of each map, by loss and map


@dataclass(frozen=True)
class Decoded:
    """Everything that a detector computed for a batch before its queries are matched with objects."""

    memory: Memory
    queries: dict[str, Queries]
    predictions: dict[str, Predictions]
    valid: Bool[Tensor, "b q"] | None = None  # of its own queries, as in Trace


# Called with "teacher" or "student" as soon as that detector's own queries are decoded.
OnDecoded = Callable[[str, Decoded], None]
Ask = Callable[[Queries], dict[str, Queries]]  # further groups to decode, given the detector's own queries


class Distiller(nn.Module):
    """A student, the losses that train it, and its teacher, if it has one.

    total = sum over losses and maps of weights[loss][map] * map.sum(); KeyError: a map has no weight, or a weight no map.
    The teacher stays in eval mode and gets no gradient. `pseudo` says which of its predictions are the objects of unlabelled
    images; None: there are no such images.
    """

    def __init__(
        self,
        student: Detector,
        losses: dict[str, Loss],
        weights: Weights,
        teacher: Detector | None = None,
        pseudo: PseudoRule | None = None,
    ):
        super().__init__()
        self.pseudo = pseudo
        self.student, self.losses, self.weights = student, nn.ModuleDict(losses), weights
        self.teacher = None if teacher is None else teacher.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Distiller":
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def forward(
        self,
        images: Images,
        targets: Targets,
        on_decoded: OnDecoded = lambda who, decoded: None,
        decoded_teacher: Decoded | None = None,
    ) -> DistillTrace:
        """One step on one batch: the traces of both detectors, the outcome of each loss, and the weighted total.

        Images without labels get the teacher's predictions as their objects. `decoded_teacher` is what the teacher computed,
        if it is known already. FloatingPointError, naming detector, layer and image: a matching cost is not finite.
        """
        losses = cast(dict[str, Loss], dict(self.losses.items()))
        if decoded_teacher is None and self.teacher is not None:
            decoded_teacher = run_teacher(self.teacher, images)
        if decoded_teacher is not None:
            on_decoded("teacher", decoded_teacher)
        targets = self.with_objects(targets, decoded_teacher)

        def ask(own: Queries) -> dict[str, Queries]:
            queries = None if decoded_teacher is None else decoded_teacher.queries["own"]
            return {name: q for loss in losses.values() for name, q in loss.ask(own, queries, targets).items()}

        decoded_student = decode(self.student, images, ask)
        on_decoded("student", decoded_student)
        if decoded_teacher is not None and self.teacher is not None:
            asked = (loss.ask_teacher(decoded_student.queries, targets) for loss in losses.values())
            further = {name: q for groups in asked for name, q in groups.items()}
            decoded_teacher = decode_further(self.teacher, decoded_teacher, further)
        with in_float32(images.pixels.device.type):
            student, teacher = self.matched(decoded_student, decoded_teacher, targets)
            problems = {name: loss.problems(student, teacher, targets) for name, loss in losses.items()}
            pairs = solve(problems)
            outcomes = {name: loss(student, teacher, targets, pairs[name]) for name, loss in losses.items()}
            return DistillTrace(student, teacher, targets, outcomes, total(outcomes, self.weights))

    def with_objects(self, targets: Targets, teacher: Decoded | None) -> Targets:
        """The targets with the objects of unlabelled images, made from what the teacher computed for them."""
        if not targets.pending:
            return targets
        assert teacher is not None and self.pseudo is not None, "images without labels need a teacher and its rule"
        return with_pseudo_truth(targets, teacher.predictions["own"], self.pseudo)

    def matched(self, student: Decoded, teacher: Decoded | None, targets: Targets) -> tuple[Trace, Trace | None]:
        """The traces of both detectors, whose own queries are matched with the objects in one copy to the host."""
        predictions = {"student": (student.predictions["own"], self.student.matching)}
        if teacher is not None and self.teacher is not None:
            predictions["teacher"] = teacher.predictions["own"], self.teacher.matching
        valid = {} if teacher is None else {"teacher": teacher.valid}
        assignments = match_to_truth(predictions, targets, valid)
        return (
            Trace(**vars(student), assignment=assignments["student"]),
            None if teacher is None else Trace(**vars(teacher), assignment=assignments["teacher"]),
        )


def in_float32(device: str) -> AbstractContextManager:
    """A context in which costs and losses are computed in float32, whatever the precision of the networks.

    The device "meta" has no autocast that could be switched off.
    """
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


@torch.no_grad()
def run_teacher(teacher: Detector, images: Images) -> Decoded:
    """The teacher's own queries and predictions.

    Under no_grad, not in inference mode, since the student's backward pass needs tensors of the teacher.
    """
    return decode(teacher, images, ask=lambda own: {})


@torch.no_grad()
def decode_further(teacher: Detector, decoded: Decoded, further: dict[str, Queries]) -> Decoded:
    """Adds further groups of queries, and their predictions, to those that the teacher has decoded; without gradient."""
    queries = {name: q.detach() for name, q in further.items()}
    predictions = {name: teacher.decode(decoded.memory, q) for name, q in queries.items()}
    return replace(decoded, queries=decoded.queries | queries, predictions=decoded.predictions | predictions)


def decode(detector: Detector, images: Images, ask: Ask) -> Decoded:
    """Encodes the images, then decodes the detector's own queries and each group that `ask` returns for them."""
    memory = detector.encode(images)
    own = detector.propose(memory)
    queries = {"own": own, **ask(own)}
    return Decoded(memory, queries, {name: detector.decode(memory, q) for name, q in queries.items()})


def total(outcomes: dict[str, Outcome], weights: Weights) -> Tensor:
    """The weighted sum of all maps; KeyError unless maps and weights have the same names."""
    if outcomes.keys() != weights.keys():
        raise KeyError(f"there are losses {sorted(outcomes)} but weights for {sorted(weights)}")
    for name, outcome in outcomes.items():
        if outcome.maps.keys() != weights[name].keys():
            raise KeyError(f"loss {name!r} has maps {sorted(outcome.maps)} but weights for {sorted(weights[name])}")
    parts = [(weights[name][key], m) for name, o in outcomes.items() for key, m in o.maps.items()]
    # Skip zero weights so that gradients stay bit-identical.
    return cast(Tensor, sum(weight * m.sum() for weight, m in parts if weight))


def map_weights(losses: dict[str, Loss], scales: dict[str, float]) -> Weights:
    """The weight of each map: the loss's own weight for it times the loss's scale."""
    return {name: {key: scales[name] * w for key, w in loss.weights.items()} for name, loss in losses.items()}
