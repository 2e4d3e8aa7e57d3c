"""Agreement of student and teacher: whether paired queries predict the same, in each decoder layer."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.boxes import iou
from core.metrics.instability import assigned_objects
from core.types import Assignment, Trace


@dataclass(frozen=True)
class Agreement:
    """Returns whether the two queries of each pair agree; `layer` is the student's."""

    layer: Int[Tensor, " m"]
    image: Int[Tensor, " m"]
    same_class: Bool[Tensor, " m"]  # whether their best classes are equal
    overlap: Float[Tensor, " m"]  # IoU of their boxes
    same_object: Bool[Tensor, " m"]  # whether both are matched with the same object

    def by_layer(self, layers: int) -> dict[str, Float[Tensor, " l"]]:
        """Mean over the pairs of each layer: "class", "iou" and "object", each 0 .. 1; NaN in a layer without pairs."""
        pairs = torch.zeros(layers).index_add(0, self.layer, torch.ones(len(self.layer)))
        parts = {"class": self.same_class, "iou": self.overlap, "object": self.same_object}
        return {name: torch.zeros(layers).index_add(0, self.layer, x.float()) / pairs for name, x in parts.items()}


@torch.no_grad()
def agreement(student: Trace, teacher: Trace, pairs: Assignment) -> Agreement:
    """The agreement of pairs that a loss compared, such as `logits`; `pairs.other` are the teacher's queries."""
    s, t = student.own, teacher.own
    object_s, object_t = assigned_objects(student)[pairs.index], assigned_objects(teacher)[pairs.other]
    return Agreement(
        pairs.layer,
        pairs.image,
        s.logits[pairs.index].argmax(-1) == t.logits[pairs.other].argmax(-1),
        iou(s.boxes[pairs.index], t.boxes[pairs.other]),
        (object_s == object_t) & (object_s >= 0),
    )
