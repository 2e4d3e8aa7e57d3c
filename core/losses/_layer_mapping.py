"""Decoder layers of the teacher that teach each decoder layer of the student, where depths may differ (Fig. 5 of 2211.10156)."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from core.types import Assignment

LayerMapping = Literal["each", "last", "from_last"]


def layer_pairs(student: int, teacher: int, mapping: LayerMapping = "each") -> list[tuple[int, int]]:
    """Pairs (student layer, teacher layer), counted from 0 and in order, for decoders of `student` and `teacher` layers.

    `each`: the layers of the deeper decoder are divided evenly, so that 6 layers teach 3 as {1, 2}, {3, 4}, {5, 6}, and each
    of 3 layers teaches two of 6. `last`: only the last layers are paired. `from_last`: the teacher's last layer teaches every
    layer of the student.
    """
    if mapping == "last":
        return [(student - 1, teacher - 1)]
    if mapping == "from_last":
        return [(layer, teacher - 1) for layer in range(student)]
    return [(layer, t) for layer in range(student) for t in group(layer, student, teacher)]


def group(layer: int, student: int, teacher: int) -> range:
    """The consecutive teacher layers, at least one, that teach one layer of the student under `each`."""
    first = layer * teacher // student
    return range(first, max(first + 1, (layer + 1) * teacher // student))


class LayerPairs(nn.Module):
    """Pairs of student and teacher layers as index vectors on the device of the loss.

    Nothing is saved: the buffers are not persistent.
    """

    student: Int[Tensor, " p"]  # student layer of each pair
    teacher: Int[Tensor, " p"]  # teacher layer of each pair
    share: Float[Tensor, " p"]  # 1 / number of teacher layers that teach the pair's student layer

    def __init__(self, pairs: Sequence[tuple[int, int]]):
        super().__init__()
        self.pairs = tuple(pairs)
        student, teacher = torch.tensor(self.pairs).unbind(1)
        self.register_buffer("student", student, persistent=False)
        self.register_buffer("teacher", teacher, persistent=False)
        self.register_buffer("share", 1 / student.bincount()[student], persistent=False)

    def __len__(self) -> int:
        return len(self.pairs)

    def with_layers(self, a: Assignment) -> Assignment:
        """Converts an assignment whose `layer` counts these pairs to the layers of student and teacher."""
        return Assignment(self.student[a.layer], a.image, a.query, a.target, self.teacher[a.layer])
