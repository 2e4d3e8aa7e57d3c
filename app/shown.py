"""One image on the page: its trace, and how its boxes are named.

A side is a set of boxes on the canvas: "student", "teacher", "truth", or a further group of queries that the student
decoded, by the group's name.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from core.data.sample import Sample
from core.distiller import Distiller
from core.matching import Matching, costs
from core.types import Assignment, DistillTrace, Predictions


@dataclass(frozen=True)
class Shown:
    key: str
    name: str
    sample: Sample
    trace: DistillTrace
    distiller: Distiller
    classes: tuple[str, ...]
    truth: Literal["given", "pseudo", "none"]
    banner: str = ""

    @property
    def layers(self) -> int:
        return len(self.trace.student.own.logits)

    @cached_property
    def sides(self) -> dict[str, tuple[Predictions, Matching, Assignment]]:
        """Queries of each side but the truth, the matching that is theirs, and the objects they answer for."""
        student, teacher = self.trace.student, self.trace.teacher
        found = {"student": (student.own, self.distiller.student.matching, student.assignment)}
        if teacher is not None:
            found["teacher"] = teacher.own, self.distiller.teacher.matching, teacher.assignment
        for name, a in answers(self.trace).items():
            found[name] = student.predictions[name], self.distiller.student.matching, a
        return found

    @cached_property
    def costs(self) -> dict[str, dict[str, Tensor]]:
        """The parts, "l b q t" and unweighted, of the cost of every query of a side for every object."""
        return {side: costs(p, self.trace.targets, matching) for side, (p, matching, _) in self.sides.items()}

    def counts(self) -> dict[str, int]:
        """How many boxes each side has."""
        counts = {side: p.logits.shape[2] for side, (p, _, _) in self.sides.items()}
        return counts | ({"truth": len(self.trace.targets)} if self.truth != "none" else {})

    def layer(self, side: str, layer: int) -> int:
        """The layer of a side that stands beside the student's: the last of its stage where depths differ."""
        depth = len(self.sides[side][0].logits)
        return -(-(layer + 1) * depth // self.layers) - 1


def answers(trace: DistillTrace) -> dict[str, Assignment]:
    """The objects that each further group of queries answers for."""
    found = {name: a for o in trace.outcomes.values() for name, a in o.pairs.items()}
    return {name: a for name, a in found.items() if name in trace.student.predictions}


def meetings(trace: DistillTrace) -> dict[str, tuple[str, Assignment]]:
    """Pairs of student queries with teacher queries, by name, with the loss that compares them."""
    to_truth = [t.assignment for t in (trace.student, trace.teacher) if t is not None]
    found = {name: (loss, a) for loss, o in trace.outcomes.items() for name, a in o.pairs.items()}
    return {
        name: (loss, a)
        for name, (loss, a) in found.items()
        if name not in trace.student.predictions and all(a is not known for known in to_truth)
    }


def role(side: str) -> str:
    """Whose colour a side has: every group but the teacher's own was decoded by the student."""
    return side if side in ("teacher", "truth") else "student"
