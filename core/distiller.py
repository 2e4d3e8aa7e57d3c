"""The one step. Training calls it with gradients; analysis and the app without."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.detectors.base import Detector
from core.losses.base import Loss
from core.matching.solving import match_to_truth, solve
from core.types import DistillTrace, Images, Memory, Outcome, Predictions, Queries, Targets, Trace

Weights = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Decoded:
    """A trace before its queries are matched."""

    memory: Memory
    queries: dict[str, Queries]
    predictions: dict[str, Predictions]


OnDecoded = Callable[[str, Decoded], None]  # is told who is done, "teacher" or "student", as soon as it is


class Distiller(nn.Module):
    """A student, the losses that train it, and the teacher if it has one.

    total = sum over losses and maps of weights[loss][map] * map.sum(); a map without a weight, or a weight without a
    map, is an error. The teacher stays in eval mode and gets no gradient.
    """

    def __init__(self, student: Detector, losses: dict[str, Loss], weights: Weights, teacher: Detector | None = None):
        super().__init__()
        self.student, self.losses, self.weights = student, nn.ModuleDict(losses), weights
        self.teacher = None if teacher is None else teacher.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Distiller":
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def forward(
        self, images: Images, targets: Targets, on_decoded: OnDecoded = lambda who, found: None
    ) -> DistillTrace:
        theirs = None if self.teacher is None else run_teacher(self.teacher, images)
        if theirs is not None:
            on_decoded("teacher", theirs)

        def ask(own: Queries) -> dict[str, Queries]:
            queries = None if theirs is None else theirs.queries["own"]
            return {name: q for loss in self.losses.values() for name, q in loss.ask(own, queries, targets).items()}

        mine = decode(self.student, images, ask)
        on_decoded("student", mine)
        with in_float32(images.pixels.device.type):
            student, teacher = self.matched(mine, theirs, targets)
            wanted = {name: loss.problems(student, teacher, targets) for name, loss in self.losses.items()}
            pairs = solve(wanted)
            outcomes = {name: loss(student, teacher, targets, pairs[name]) for name, loss in self.losses.items()}
            return DistillTrace(student, teacher, targets, outcomes, total(outcomes, self.weights))

    def matched(self, mine: Decoded, theirs: Decoded | None, targets: Targets) -> tuple[Trace, Trace | None]:
        """Both detectors meet the truth together: one copy to the host."""
        found = {"student": (mine.predictions["own"], self.student.matching)}
        if theirs is not None:
            found["teacher"] = theirs.predictions["own"], self.teacher.matching
        answers = match_to_truth(found, targets)
        student = Trace(**vars(mine), assignment=answers["student"])
        return student, theirs and Trace(**vars(theirs), assignment=answers["teacher"])


def in_float32(device: str) -> AbstractContextManager:
    """Costs and losses are, whatever the networks are. On "meta" there is no autocast to leave."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


@torch.no_grad()
def run_teacher(teacher: Detector, images: Images) -> Decoded:
    """no_grad, not inference mode: the teacher's tensors are saved for the student's backward."""
    return decode(teacher, images, ask=lambda own: {})


def decode(detector: Detector, images: Images, ask) -> Decoded:
    memory = detector.encode(images)
    own = detector.propose(memory)
    queries = {"own": own, **ask(own)}
    return Decoded(memory, queries, {name: detector.decode(memory, q) for name, q in queries.items()})


def total(outcomes: dict[str, Outcome], weights: Weights) -> Tensor:
    if outcomes.keys() != weights.keys():
        raise KeyError(f"there are losses {sorted(outcomes)} but weights for {sorted(weights)}")
    for name, outcome in outcomes.items():
        if outcome.maps.keys() != weights[name].keys():
            raise KeyError(f"loss {name!r} has maps {sorted(outcome.maps)} but weights for {sorted(weights[name])}")
    parts = [(weights[name][key], m) for name, o in outcomes.items() for key, m in o.maps.items()]
    return sum(weight * m.sum() for weight, m in parts if weight)  # what counts nothing leaves the gradient's very bits


def map_weights(losses: dict[str, Loss], scales: dict[str, float]) -> Weights:
    """What each map counts: the loss's own weight of it times the loss's scale."""
    return {name: {key: scales[name] * w for key, w in loss.weights.items()} for name, loss in losses.items()}
