"""Query-prior assignment: the student also decodes the teacher's queries, each with the object it is matched with in the teacher.

DETRDistill, arXiv 2211.10156, Eq. 10. The teacher's permutation of each layer is reused, so nothing is matched again
(the release computes it and then matches again, a fault that is not reproduced). Where depths differ, a layer of the
student takes the assignment of the last layer of the teacher that teaches it.
"""

from dataclasses import dataclass

from core.limits import Count, Weight
from core.losses._same_queries import assignment_of_teacher, refuse_other_kinds
from core.losses.base import DetectorSpec, Loss, require_teacher
from core.losses.detection import set_loss
from core.types import Assignment, Outcome, Queries, Targets, Trace


@dataclass(frozen=True)
class Config:
    """The class loss and the weights of the terms are those of the student's `matching`."""

    weight: Weight = 0.0  # Weight of the whole loss; 0 leaves it out.
    every: Count = 1  # Compute it in every so many steps of training, with so many times its weight.
    joint: bool = False  # Decode its queries in one pass with the student's own, if the detector can: AdaMixer.


class Model(Loss):
    """The detection loss of the group "prior" under the teacher's assignment. No weights of its own."""

    least = "truth"
    reads: tuple[str, ...] = ("queries",)

    def __init__(self, config: Config, student: DetectorSpec, teacher: DetectorSpec | None):
        super().__init__()
        refuse_other_kinds("prior", student, require_teacher("prior", teacher))
        self.matching, self.weights = student.matching, student.matching.loss_weights
        self.student_layers, self.every, self.joint = student.config.layers, config.every, config.joint

    def ask(self, student: Queries, teacher: Queries | None, targets: Targets) -> dict[str, Queries]:
        assert teacher is not None
        return {"prior": teacher.detach()}

    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        assert teacher is not None
        a = assignment_of_teacher(teacher, student_layers=self.student_layers)
        return Outcome(set_loss(student.predictions["prior"], targets, a, self.matching), {"prior": a})
