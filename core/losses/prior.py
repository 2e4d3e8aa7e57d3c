"""Query-prior assignment: the student also decodes the teacher's queries, each with the object it is matched with in the teacher.

DETRDistill, arXiv 2211.10156, Eq. 10. The teacher's permutation of each layer is reused, so nothing is matched again
(the release computes it and then matches again, a fault that is not reproduced). Where depths differ, a layer of the
student takes the assignment of the last layer of the teacher that teaches it.
"""

from dataclasses import dataclass

import torch

from core.errors import UserError
from core.losses._layer_mapping import layer_pairs
from core.losses.base import DetectorSpec, Loss, require_teacher
from core.losses.detection import set_loss
from core.types import Assignment, Outcome, Queries, Targets, Trace


@dataclass(frozen=True)
class Config:
    """The class loss and the weights of the terms are those of the student's `matching`."""

    weight: float = 0.0  # Weight of the whole loss; 0 leaves it out.


class Model(Loss):
    """The detection loss of the group "prior" under the teacher's assignment. No weights of its own."""

    least = "truth"

    def __init__(self, config: Config, student: DetectorSpec, teacher: DetectorSpec | None):
        super().__init__()
        teacher = require_teacher("prior", teacher)
        refuse_other_kinds(student, teacher)
        self.matching, self.weights = student.matching, student.matching.loss_weights
        self.teacher_layers = teacher.config.layers
        # For each student layer, the last teacher layer that teaches it: in a dict, a later pair replaces an earlier one.
        last = dict(layer_pairs(student.config.layers, teacher.config.layers))
        self.assignment_layers = list(last.values())

    def ask(self, student: Queries, teacher: Queries | None, targets: Targets) -> dict[str, Queries]:
        assert teacher is not None
        return {"prior": teacher.detach()}

    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        assert teacher is not None
        a = select_layers(teacher.assignment, self.assignment_layers, layers=self.teacher_layers)
        return Outcome(set_loss(student.predictions["prior"], targets, a, self.matching), {"prior": a})


def select_layers(a: Assignment, chosen: list[int], *, layers: int) -> Assignment:
    """The pairs of the `chosen` of `layers` layers; their layers are numbered from 0 in the order of `chosen`."""
    if chosen == list(range(layers)):
        return a
    parts = [a.of_layer(layer, layers=layers) for layer in chosen]
    numbered = [torch.full_like(part.layer, k) for k, part in enumerate(parts)]
    rest = ([getattr(part, name) for part in parts] for name in ("image", "query", "target"))
    return Assignment(*map(torch.cat, (numbered, *rest)))


def refuse_other_kinds(student: DetectorSpec, teacher: DetectorSpec) -> None:
    """Raises UserError if the student cannot decode the teacher's queries: they differ in kind, width or origin of queries."""
    origin = {True: "queries from the encoder", False: "learnt queries"}
    student_kind, teacher_kind = (f"{x.kind} of width {x.width} with {origin[x.proposes]}" for x in (student, teacher))
    if student_kind != teacher_kind:
        raise UserError(
            f"the loss 'prior' has the student decode the teacher's queries, but the student is {student_kind} and the "
            f"teacher {teacher_kind}: take a teacher of the student's kind and width, or set --losses.prior.weight 0"
        )
