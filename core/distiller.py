"""The distillation step: decode both detectors, match, sum the losses. Training runs it with gradients, the rest without."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from core.detectors.base import Detector
from core.losses.base import Loss
from core.matching.solving import Arrived, begin_match_to_truth, begin_solving, solve
from core.pseudo import PseudoRule, with_pseudo_truth
from core.types import Assignment, Decoded, DistillTrace, Images, Outcome, Queries, Targets, Trace

Weights = dict[str, dict[str, float]]  # of each map, by loss and map
Pairs = dict[str, dict[str, Assignment]]  # solutions of the problems of losses, by loss and problem
Batch = TypeVar("Batch", Decoded, Trace)
# Called with "teacher" or "student" as soon as that detector's own queries are decoded.
OnDecoded = Callable[[str, Decoded], None]


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
        factors: Mapping[str, float] | None = None,
    ) -> DistillTrace:
        """One step on one batch: the traces of both detectors, the outcome of each loss, and the weighted total.

        Images without labels get the teacher's predictions as their objects. `decoded_teacher` is what the teacher computed,
        if it is known already. `factors`, by loss, are what its weights are multiplied by; a loss of factor 0 is left out,
        and a teacher that is then asked for nothing is not run. FloatingPointError, naming detector, layer and image: a
        matching cost is not finite.
        """
        losses = self.computed_losses(factors)
        distils = factors is None or any(name != "detection" for name in losses)
        if decoded_teacher is None and self.teacher is not None and (distils or targets.pending):
            decoded_teacher = run_teacher(self.teacher, images)
        if decoded_teacher is not None:
            on_decoded("teacher", decoded_teacher)
        targets = self.with_objects(targets, decoded_teacher)
        answer = decoded_teacher if distils else None
        student, teacher, early = self.traces(images, targets, answer, on_decoded, losses)
        with in_float32(images.pixels.device.type):
            late = {n: loss.problems(student, teacher, targets) for n, loss in losses.items() if not loss.poses_early}
            pairs = early() | solve(late)
            outcomes = {name: loss(student, teacher, targets, pairs[name]) for name, loss in losses.items()}
            return DistillTrace(student, teacher, targets, outcomes, total(outcomes, multiplied(self.weights, factors)))

    def computed_losses(self, factors: Mapping[str, float] | None) -> dict[str, Loss]:
        """The losses whose factor is not 0, by name; all without factors."""
        return {name: loss for name, loss in self.named_losses.items() if factors is None or factors[name]}

    @property
    def named_losses(self) -> dict[str, Loss]:
        """The losses by name."""
        return cast(dict[str, Loss], dict(self.losses.items()))

    def with_objects(self, targets: Targets, teacher: Decoded | None) -> Targets:
        """The targets with the objects of unlabelled images, made from what the teacher computed for them."""
        if not targets.pending:
            return targets
        assert teacher is not None and self.pseudo is not None, "images without labels need a teacher and its rule"
        return with_pseudo_truth(targets, teacher.predictions["own"], self.pseudo)

    def traces(
        self,
        images: Images,
        targets: Targets,
        decoded_teacher: Decoded | None,
        on_decoded: OnDecoded,
        losses: Mapping[str, Loss],
    ) -> tuple[Trace, Trace | None, Arrived[Pairs]]:
        """The traces of both detectors, which `losses` compare; and the call that ends the early problems of these.

        Matching with the objects begins as soon as a detector's own queries are decoded, and the early problems with it. Both
        end last: meanwhile the host gives a GPU all the rest to decode, and then solves while the GPU works. Groups of losses
        that are `joint` are decoded with the student's own queries.
        """
        teacher_pairs = None
        if self.teacher is not None and decoded_teacher is not None:
            teacher_pairs = begin_matching("teacher", self.teacher, decoded_teacher, targets)
        memory = self.student.encode(images)
        own = self.student.propose(memory)
        joint, asked = (
            ask([loss for loss in losses.values() if loss.joint == together], own, decoded_teacher, targets)
            for together in (True, False)
        )
        student = decode_together(self.student, Decoded(memory), {"own": own} | joint)
        student_pairs = begin_matching("student", self.student, student, targets)
        teacher = (
            Trace(**vars(decoded_teacher), assignment=teacher_pairs()) if decoded_teacher and teacher_pairs else None
        )
        early = self.begin_early_problems(losses, student, teacher, targets)
        student = decode(self.student, student, asked)
        on_decoded("student", student)
        teacher = self.with_asked(losses.values(), teacher, student, targets)
        return Trace(**vars(student), assignment=student_pairs()), teacher, early

    def begin_early_problems(
        self, losses: Mapping[str, Loss], student: Decoded, teacher: Trace | None, targets: Targets
    ) -> Arrived[Pairs]:
        """Begins to solve the problems of the losses that need only the student's own queries."""
        early = {name: loss for name, loss in losses.items() if loss.poses_early}
        with in_float32(student.own.boxes.device.type):
            return begin_solving({name: loss.problems(student, teacher, targets) for name, loss in early.items()})

    @torch.no_grad()
    def with_asked(
        self, losses: Iterable[Loss], teacher: Trace | None, student: Decoded, targets: Targets
    ) -> Trace | None:
        """Decodes the further groups of queries that losses ask the teacher for."""
        if self.teacher is None or teacher is None:
            return teacher
        requests = (loss.ask_teacher(student.queries, targets) for loss in losses)
        return decode(self.teacher, teacher, {name: q.detach() for groups in requests for name, q in groups.items()})


def ask(losses: Iterable[Loss], own: Queries, teacher: Decoded | None, targets: Targets) -> dict[str, Queries]:
    """The further groups of queries that losses ask the student to decode, given its own queries."""
    queries = None if teacher is None else teacher.queries["own"]
    return {name: q for loss in losses for name, q in loss.ask(own, queries, targets).items()}


def begin_matching(who: str, detector: Detector, decoded: Decoded, targets: Targets) -> Arrived[Assignment]:
    """Begins to match a detector's own queries with the objects; the call that is returned ends it."""
    own = decoded.predictions["own"]
    with in_float32(own.boxes.device.type):
        matched = begin_match_to_truth({who: (own, detector.matching)}, targets, {who: decoded.valid})
    return lambda: matched()[who]


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
    memory = teacher.encode(images)
    return decode(teacher, Decoded(memory), {"own": teacher.propose(memory)})


def decode(detector: Detector, decoded: Batch, queries: dict[str, Queries]) -> Batch:
    """Adds groups of queries, and their predictions, to what the detector has computed for the images."""
    predictions = {name: detector.decode(decoded.memory, q) for name, q in queries.items()}
    return replace(decoded, queries=decoded.queries | queries, predictions=decoded.predictions | predictions)


def decode_together(detector: Detector, decoded: Decoded, queries: dict[str, Queries]) -> Decoded:
    """Does what `decode` does, in one pass for all groups where the detector can."""
    if len(queries) == 1:
        return decode(detector, decoded, queries)
    predictions = detector.decode_groups(decoded.memory, queries)
    return replace(decoded, queries=decoded.queries | queries, predictions=decoded.predictions | predictions)


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


def multiplied(weights: Weights, factors: Mapping[str, float] | None) -> Weights:
    """The weights of each loss times its factor, without the losses of factor 0; without factors the weights themselves."""
    if factors is None:
        return weights
    return {name: {key: f * w for key, w in weights[name].items()} for name, f in factors.items() if f}


def map_weights(losses: dict[str, Loss], scales: dict[str, float]) -> Weights:
    """The weight of each map: the loss's own weight for it times the loss's scale."""
    return {name: {key: scales[name] * w for key, w in loss.weights.items()} for name, loss in losses.items()}
