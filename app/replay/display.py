"""One image as the page displays it: what one run computed for it, and optionally what a second run computed.

A side is a group of boxes on the canvas: "student", "teacher", "other" (the second run's student), "truth" (the objects), the
name of a further group of queries that the student decoded, or "teacher_" and the name of one that the teacher decoded.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from app import words
from app.replay import facts
from app.replay.pairs import SolvedPairs, solved_pairs
from core.data.sample import Sample
from core.distiller import Distiller
from core.losses.base import Loss
from core.matching.costs import Matching, costs, weighted_sum
from core.runs.open import OpenRun
from core.terminal import printable
from core.types import Assignment, DistillTrace, Predictions, Targets, Trace

Truth = Literal["given", "pseudo", "none"]


@dataclass(frozen=True)
class Side:
    """A group of queries of one image, the objects of that image, and the assignment between them."""

    predictions: Predictions
    matching: Matching
    assignment: Assignment
    targets: Targets

    @cached_property
    def cost_parts(self) -> dict[str, Tensor]:
        """The unweighted cost of every query for every object by part, "l b q t"."""
        return costs(self.predictions, self.targets, self.matching)

    @cached_property
    def cost(self) -> Tensor:
        """The weighted cost of every query for every object, which matching minimises, "l b q t"."""
        return weighted_sum(self.cost_parts, self.matching.weights)

    @property
    def layers(self) -> int:
        """The number of decoder layers."""
        return len(self.predictions.logits)

    @property
    def queries(self) -> int:
        """The number of queries."""
        return self.predictions.logits.shape[2]

    def matched(self, layer: int) -> Assignment:
        """The pairs of queries and objects in one layer."""
        return self.assignment.of(layer=layer, image=0)

    def objects_of(self, layer: int, query: int) -> list[int]:
        """The objects matched with a query in one layer; empty for an unmatched query."""
        pairs = self.matched(layer)
        return pairs.target[pairs.query == query].tolist()

    def queries_of(self, layer: int, target: int) -> list[int]:
        """The queries matched with an object in one layer; empty where there are fewer queries than objects."""
        pairs = self.matched(layer)
        return pairs.query[pairs.target == target].tolist()


@dataclass(frozen=True)
class Replay:
    """One image in one run: the training step computed again on it, and what follows from that, each computed once."""

    key: str
    name: str
    run: OpenRun
    sample: Sample
    trace: DistillTrace
    truth: Truth
    banner: str = ""

    @property
    def distiller(self) -> Distiller:
        """The networks and losses of the run."""
        return self.run.distiller

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, by label, as they are shown."""
        return shown_classes(self.run)

    @cached_property
    def losses(self) -> dict[str, Loss]:
        """The losses of the run by name."""
        return {name: loss for name, loss in self.distiller.losses.items() if isinstance(loss, Loss)}

    @cached_property
    def sides(self) -> dict[str, Side]:
        """All groups of queries, by the name of their side."""
        student, teacher, targets = self.trace.student, self.trace.teacher, self.trace.targets
        matching = self.distiller.student.matching
        sides = {"student": Side(student.own, matching, student.assignment, targets)}
        if teacher is not None and self.distiller.teacher is not None:
            sides["teacher"] = Side(teacher.own, self.distiller.teacher.matching, teacher.assignment, targets)
        for outcome in self.trace.outcomes.values():
            for name, assignment in outcome.pairs.items():
                if name in student.predictions:
                    sides[name] = Side(student.predictions[name], matching, assignment, targets)
        if teacher is not None and self.distiller.teacher is not None:
            unmatched = teacher.assignment.at(slice(0))
            for name, predictions in teacher.predictions.items():
                if name != "own":
                    sides[f"teacher_{name}"] = Side(predictions, self.distiller.teacher.matching, unmatched, targets)
        return sides

    @cached_property
    def query_pairs(self) -> dict[str, Assignment]:
        """The pairs of student and teacher queries that losses compare, by the name of the kind of pair."""
        pairs = {name: a for outcome in self.trace.outcomes.values() for name, a in outcome.pairs.items()}
        return {name: a for name, a in pairs.items() if a.target_layer is not None}

    @cached_property
    def solved_pairs(self) -> dict[str, SolvedPairs]:
        """The pairs of `query_pairs` that matching found, with the problem that it solved."""
        return solved_pairs(self.trace, self.losses)

    @cached_property
    def teaching_layers(self) -> dict[int, int]:
        """The last teacher layer whose queries are paired with those of each student layer; only layers with pairs."""
        layers: dict[int, int] = {}
        for pairs in self.query_pairs.values():
            assert pairs.target_layer is not None
            for student, teacher in zip(pairs.layer.tolist(), pairs.target_layer.tolist()):
                layers[student] = max(teacher, layers.get(student, 0))
        return layers


@dataclass(frozen=True)
class Display:
    """The replay of the chosen run, and optionally that of a second run to compare it with."""

    main: Replay
    second: Replay | None = None

    @property
    def trace(self) -> DistillTrace:
        """The trace of the chosen run."""
        return self.main.trace

    @property
    def layers(self) -> int:
        """The number of the student's decoder layers, which the layer slider counts."""
        return self.main.sides["student"].layers

    @cached_property
    def sides(self) -> dict[str, Side]:
        """The sides of the chosen run, and the second run's student as "other"."""
        return self.main.sides | ({} if self.second is None else {"other": self.second.sides["student"]})

    @cached_property
    def traces(self) -> dict[str, Trace]:
        """The traces of the detectors that were matched with the objects, in the order teacher, student, other."""
        second = None if self.second is None else self.second.trace.student
        traces = {"teacher": self.trace.teacher, "student": self.trace.student, "other": second}
        return {side: trace for side, trace in traces.items() if trace is not None}

    @cached_property
    def counts(self) -> dict[str, int]:
        """The number of boxes of each side, the objects included unless the image has no truth."""
        counts = {name: side.queries for name, side in self.sides.items()}
        return counts | ({} if self.main.truth == "none" else {"truth": len(self.trace.targets)})

    @cached_property
    def changes(self) -> list[str]:
        """Returns whether each object is kept, gained, lost or missed, compared with the second run.

        Empty without a second run, or where the objects are not annotated ones.
        """
        if self.second is None or self.main.truth != "given":
            return []
        before, after = (r.sides["student"].predictions for r in (self.second, self.main))
        sample = self.main.sample
        return facts.changes(facts.object_scores(before, sample), facts.object_scores(after, sample))

    def layer_of(self, side: str, layer: int) -> int:
        """The layer of a side that is shown beside a layer of the student.

        For the teacher it is the last layer that teaches this student layer, where a loss pairs their queries; otherwise
        the layer at the same relative depth.
        """
        if side == "teacher" and layer in self.main.teaching_layers:
            return self.main.teaching_layers[layer]
        return -(-(layer + 1) * self.sides[side].layers // self.layers) - 1

    def title(self, side: str) -> str:
        """The title of a side; two students are named after their runs."""
        if self.second is not None and side in ("student", "other"):
            return printable((self.main if side == "student" else self.second).run.path.stem)
        return words.side(side)[0]

    def role(self, side: str) -> str:
        """The colour of a side: "teacher", "truth", "student", "distilled" or "prior".

        Further groups of the teacher have its colour, and those that the student decodes that of "prior". Of two students,
        the one of the run with a teacher is "distilled".
        """
        if side == "truth":
            return side
        if words.is_of_teacher(side):
            return "teacher"
        if side not in words.MATCHED_SIDES:
            return "prior"
        if self.second is None:
            return "student"
        has_teacher = self.trace.teacher is not None
        return "distilled" if has_teacher != (side == "other") else "student"


def shown_classes(run: OpenRun) -> tuple[str, ...]:
    """The names of the classes of a run, by label, as they are shown."""
    return tuple(map(printable, run.classes))
