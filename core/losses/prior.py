"""Query-prior assignment: the teacher's queries, decoded by the student, answer for what they answered for in the teacher.

DETRDistill, arXiv 2211.10156, Eq. 10. The teacher's permutation of each stage is reused, so nothing is matched anew.
"""

from dataclasses import dataclass

from core.errors import UserError
from core.losses.base import Loss, need_teacher
from core.losses.detection import compare
from core.types import Outcome


@dataclass(frozen=True)
class Config:
    weight: float = 0.0


class Model(Loss):
    def __init__(self, config: Config, student, teacher):
        super().__init__()
        need_teacher("prior", teacher)
        refuse_strangers(student, teacher)
        self.matching, self.weights = student.matching, student.matching.weights

    def ask(self, student, teacher, targets):
        return {"prior": teacher.detach()}

    def forward(self, student, teacher, targets, pairs):
        maps = compare(student.predictions["prior"], targets, teacher.assignment, self.matching)
        return Outcome(maps, {"prior": teacher.assignment})


def refuse_strangers(student, teacher) -> None:
    mine, theirs = ((x.kind, x.width, x.config.layers, x.config.classes) for x in (student, teacher))
    if mine != theirs:
        say = "{} of width {} with {} layers and {} classes"
        raise UserError(
            f"the loss 'prior' needs student and teacher of one kind, but the student is {say.format(*mine)} and the "
            f"teacher {say.format(*theirs)}: make them equal, or set --losses.prior.weight 0"
        )
