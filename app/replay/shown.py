"""One image on the page: its traces, and how its boxes are named.

A side is a set of boxes on the canvas: "student", "teacher", "other" (the second student), "truth", or a further group
of queries that the student decoded, by the group's name.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from app import words
from app.replay.pairs import Met, meetings, met
from core.data.sample import Sample
from core.distiller import Distiller
from core.matching.costs import Matching, costs, weighted_sum
from core.runs.open import OpenRun
from core.types import Assignment, DistillTrace, Predictions

Truth = Literal["given", "pseudo", "none"]


@dataclass(frozen=True)
class Side:
    """Queries, the matching that is theirs, and the objects they answer for."""

    predictions: Predictions
    matching: Matching
    answers: Assignment


@dataclass(frozen=True)
class Replay:
    """One image in one run."""

    key: str
    name: str
    run: OpenRun
    sample: Sample
    trace: DistillTrace
    truth: Truth
    banner: str = ""

    @property
    def distiller(self) -> Distiller:
        return self.run.distiller

    @property
    def classes(self) -> tuple[str, ...]:
        return self.run.classes

    @cached_property
    def sides(self) -> dict[str, Side]:
        """Of all queries, without the truth."""
        student, teacher = self.trace.student, self.trace.teacher
        found = {"student": Side(student.own, self.distiller.student.matching, student.assignment)}
        if teacher is not None:
            found["teacher"] = Side(teacher.own, self.distiller.teacher.matching, teacher.assignment)
        for name, a in answers(self.trace).items():
            found[name] = Side(student.predictions[name], self.distiller.student.matching, a)
        return found

    @cached_property
    def costs(self) -> dict[str, dict[str, Tensor]]:
        """The parts, "l b q t" and unweighted, of the cost of every query of a side for every object."""
        return {name: costs(s.predictions, self.trace.targets, s.matching) for name, s in self.sides.items()}

    @cached_property
    def prices(self) -> dict[str, Tensor]:
        """What was solved: the weighted cost of every query of a side for every object, "l b q t"."""
        return {name: weighted_sum(self.costs[name], s.matching.weights) for name, s in self.sides.items()}

    @cached_property
    def met(self) -> dict[str, Met]:
        """What was solved between student and teacher, by the pairs' name."""
        return met(self.trace, self.distiller)


@dataclass(frozen=True)
class Shown:
    """What the page shows: a run, and perhaps another whose student stands beside the first's."""

    main: Replay
    other: Replay | None = None

    @property
    def trace(self) -> DistillTrace:
        return self.main.trace

    @property
    def layers(self) -> int:
        return len(self.trace.student.own.logits)

    @property
    def sides(self) -> dict[str, Side]:
        return self.joined("sides")

    @property
    def costs(self) -> dict[str, dict[str, Tensor]]:
        return self.joined("costs")

    @property
    def prices(self) -> dict[str, Tensor]:
        return self.joined("prices")

    def joined(self, what: str) -> dict:
        found = getattr(self.main, what)
        return found if self.other is None else found | {"other": getattr(self.other, what)["student"]}

    def title(self, side: str) -> str:
        """Two students go by the names of their runs."""
        named = {"student": self.main, "other": self.other} if self.other else {}
        return named[side].run.path.stem if side in named else words.side(side)[0]

    def counts(self) -> dict[str, int]:
        """How many boxes each side has."""
        counts = {name: side.predictions.logits.shape[2] for name, side in self.sides.items()}
        return counts | ({"truth": len(self.trace.targets)} if self.main.truth != "none" else {})

    def layer(self, side: str, layer: int) -> int:
        """The layer of a side that stands beside the student's.

        Of the teacher the last that teaches it, where a loss says so; else the last of its stage where depths differ.
        """
        met = [a.target_layer[a.layer == layer] for _, a in meetings(self.trace).values()]
        if side == "teacher" and any(map(len, met)):
            return max(int(x.max()) for x in met if len(x))
        depth = len(self.sides[side].predictions.logits)
        return -(-(layer + 1) * depth // self.layers) - 1

    def role(self, side: str) -> str:
        """Whose colour a side has: every further group was decoded by the student.

        Beside a second student the two are told apart: one has the colour of a student that had a teacher.
        """
        if side in ("teacher", "truth"):
            return side
        taught = self.other is not None and self.trace.teacher is not None
        return "distilled" if taught != (side == "other") and self.other is not None else "student"


def answers(trace: DistillTrace) -> dict[str, Assignment]:
    """The objects that each further group of queries answers for."""
    found = {name: a for o in trace.outcomes.values() for name, a in o.pairs.items()}
    return {name: a for name, a in found.items() if name in trace.student.predictions}
