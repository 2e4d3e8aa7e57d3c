"""Both detectors decode the same queries: their predictions are compared index by index, and nothing is matched."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.boxes import giou
from core.errors import UserError
from core.losses._layer_mapping import LayerMapping, LayerPairs, layer_pairs
from core.losses.base import DetectorSpec
from core.losses.logits import refuse_other_classes
from core.matching.costs import Matching
from core.types import SILENT, Assignment, Predictions, Trace


class SameQueries(nn.Module):
    """Compares the predictions of two detectors for the same queries, for each pair of a student and a teacher layer.

    Nothing is saved: the buffers are not persistent.
    """

    known: Bool[Tensor, " c"]  # classes that the teacher can predict

    def __init__(self, name: str, student: DetectorSpec, teacher: DetectorSpec, stages: LayerMapping):
        """UserError: the student cannot decode the teacher's queries, or has other classes. `name` is the loss's."""
        super().__init__()
        refuse_other_kinds(name, student, teacher)
        refuse_other_classes(name, student, teacher)
        self.matching: Matching = student.matching
        self.student_layers = student.config.layers
        self.layers = LayerPairs(layer_pairs(student.config.layers, teacher.config.layers, stages))
        self.register_buffer("known", torch.tensor(teacher.known), persistent=False)

    def logits(
        self, student: Predictions, teacher: Predictions
    ) -> tuple[Float[Tensor, "p b q c"], Float[Tensor, "p b q c"]]:
        """Logits of both in float32; a class that the teacher does not know has SILENT: no loss and no gradient."""
        pairs = student.logits[self.layers.student], teacher.logits[self.layers.teacher]
        student_logits, teacher_logits = (x.float().masked_fill(~self.known, SILENT) for x in pairs)
        return student_logits, teacher_logits

    def box_losses(self, student: Predictions, teacher: Predictions) -> dict[str, Float[Tensor, "p b q"]]:
        """L1 distance and 1 - GIoU of the boxes of each query."""
        predicted, target = student.boxes[self.layers.student], teacher.boxes[self.layers.teacher]
        distance = self.matching.coordinates(predicted) - self.matching.coordinates(target)
        return {"l1": distance.abs().sum(-1), "giou": 1 - giou(predicted, target)}

    def by_student_layer(self, values: Float[Tensor, "p b q"]) -> Float[Tensor, "l b q"]:
        """The mean over the teacher's layers that teach a layer of the student; 0 for a layer that none teaches."""
        shares = values * self.layers.share[:, None, None]
        return values.new_zeros(self.student_layers, *values.shape[1:]).index_add(0, self.layers.student, shares)


def assignment_of_teacher(teacher: Trace, *, student_layers: int) -> Assignment:
    """The objects of the teacher's own queries, for each layer of the student: those of the last layer that teaches it."""
    teacher_layers = len(teacher.own.logits)
    # In a dict, a later pair replaces an earlier one.
    last = dict(layer_pairs(student_layers, teacher_layers))
    return select_layers(teacher.assignment, list(last.values()), layers=teacher_layers)


def select_layers(a: Assignment, chosen: list[int], *, layers: int) -> Assignment:
    """The pairs of the `chosen` of `layers` layers; their layers are numbered from 0 in the order of `chosen`."""
    if chosen == list(range(layers)):
        return a
    parts = [a.of_layer(layer, layers=layers) for layer in chosen]
    numbered = [torch.full_like(part.layer, k) for k, part in enumerate(parts)]
    rest = ([getattr(part, name) for part in parts] for name in ("image", "query", "target"))
    return Assignment(*map(torch.cat, (numbered, *rest)))


def refuse_other_kinds(name: str, student: DetectorSpec, teacher: DetectorSpec) -> None:
    """Raises UserError if the student cannot decode the teacher's queries: they differ in kind, width or origin of queries.

    `name` is the loss's.
    """
    origin = {True: "queries from the encoder", False: "learnt queries"}
    student_kind, teacher_kind = (f"{x.kind} of width {x.width} with {origin[x.proposes]}" for x in (student, teacher))
    if student_kind != teacher_kind:
        raise UserError(
            f"the loss {name!r} has the student decode the teacher's queries, but the student is {student_kind} and the "
            f"teacher {teacher_kind}: take a teacher of the student's kind and width, or set --losses.{name}.weight 0"
        )
