"""Query-prior assignment: the teacher's queries, decoded by the student, answer for what they answered for in the teacher.

DETRDistill, arXiv 2211.10156, Eq. 10. The teacher's permutation of each stage is reused, so nothing is matched anew
(the release computes it and then matches anew, a fault that is not reproduced). Where depths differ, a layer of the
student takes the assignment of the last layer of the teacher that teaches it.
"""

from dataclasses import dataclass

import torch

from core.errors import UserError
from core.losses._layer_mapping import layer_pairs
from core.losses.base import Loss, require_teacher
from core.losses.detection import set_loss
from core.types import Assignment, Outcome


@dataclass(frozen=True)
class Config:
    weight: float = 0.0  # Weight of the whole loss; 0 leaves it out.


class Model(Loss):
    least = "truth"

    def __init__(self, config: Config, student, teacher):
        super().__init__()
        require_teacher("prior", teacher)
        refuse_other_kinds(student, teacher)
        self.matching, self.weights = student.matching, student.matching.weights
        self.layers = teacher.config.layers
        self.last = list(
            dict(layer_pairs(student.config.layers, self.layers)).values()
        )  # teacher's layer for each of the student's

    def ask(self, student, teacher, targets):
        return {"prior": teacher.detach()}

    def forward(self, student, teacher, targets, pairs):
        a = select_layers(teacher.assignment, self.last, layers=self.layers)
        return Outcome(set_loss(student.predictions["prior"], targets, a, self.matching), {"prior": a})


def select_layers(a: Assignment, chosen: list[int], *, layers: int) -> Assignment:
    """The pairs of the `chosen` of `layers` layers, counted anew from 0."""
    if chosen == list(range(layers)):
        return a
    parts = [a.of_layer(layer, layers=layers) for layer in chosen]
    counted = [torch.full_like(part.layer, k) for k, part in enumerate(parts)]
    rest = ([getattr(part, name) for part in parts] for name in ("image", "query", "target"))
    return Assignment(*map(torch.cat, (counted, *rest)))


def refuse_other_kinds(student, teacher) -> None:
    origin = {True: "queries from the encoder", False: "learnt queries"}
    mine, theirs = (f"{x.kind} of width {x.width} with {origin[x.proposes]}" for x in (student, teacher))
    if mine != theirs:
        raise UserError(
            f"the loss 'prior' has the student decode the teacher's queries, but the student is {mine} and the teacher "
            f"{theirs}: take a teacher of the student's kind and width, or set --losses.prior.weight 0"
        )
