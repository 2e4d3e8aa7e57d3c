"""Whether student and teacher say the same, stage by stage."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.boxes import iou
from core.metrics.instability import assigned_objects
from core.types import Assignment, Trace


@dataclass(frozen=True)
class Agreement:
    """Of pairs of a student's and a teacher's query; the layer is the student's."""

    layer: Int[Tensor, " m"]
    image: Int[Tensor, " m"]
    same_class: Bool[Tensor, " m"]  # their best classes agree
    overlap: Float[Tensor, " m"]  # IoU of their boxes
    same_object: Bool[Tensor, " m"]  # both answer for one true object

    def by_layer(self, layers: int) -> dict[str, Float[Tensor, " l"]]:
        """The mean over the pairs of each layer, NaN where it has none."""
        pairs = torch.zeros(layers).index_add(0, self.layer, torch.ones(len(self.layer)))
        parts = {"class": self.same_class, "iou": self.overlap, "object": self.same_object}
        return {name: torch.zeros(layers).index_add(0, self.layer, x.float()) / pairs for name, x in parts.items()}


@torch.no_grad()
def agreement(student: Trace, teacher: Trace, pairs: Assignment) -> Agreement:
    """Of pairs as a loss compared them: `pairs.other` are the teacher's queries, as in the loss `logits`."""
    mine, theirs = student.own, teacher.own
    object_s, object_t = assigned_objects(student)[pairs.index], assigned_objects(teacher)[pairs.other]
    return Agreement(
        pairs.layer,
        pairs.image,
        mine.logits[pairs.index].argmax(-1) == theirs.logits[pairs.other].argmax(-1),
        iou(mine.boxes[pairs.index], theirs.boxes[pairs.other]),
        (object_s == object_t) & (object_s >= 0),
    )
