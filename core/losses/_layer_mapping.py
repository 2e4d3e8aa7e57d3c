"""Which decoder layer of the teacher teaches which of the student's, where depths may differ (Fig. 5 of 2211.10156)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from core.types import Assignment

LayerMapping = Literal["each", "last", "from_last"]


def layer_pairs(student: int, teacher: int, which: LayerMapping = "each") -> list[tuple[int, int]]:
    """Pairs (student's layer, teacher's layer), from 0, in order.

    `each`: the deeper one's layers are grouped evenly, so 6 that teach 3 are {1, 2}, {3, 4}, {5, 6}, and 3 that teach 6
    teach two each. `last`: the last alone. `from_last`: every layer learns from the teacher's last.
    """
    if which == "last":
        return [(student - 1, teacher - 1)]
    if which == "from_last":
        return [(layer, teacher - 1) for layer in range(student)]
    return [(layer, t) for layer in range(student) for t in group(layer, student, teacher)]


def group(layer: int, student: int, teacher: int) -> range:
    """The teacher's layers for one of the student's: a part of them in even order, at least one."""
    first = layer * teacher // student
    return range(first, max(first + 1, (layer + 1) * teacher // student))


class LayerPairs(nn.Module):
    """Pairs of layers as index vectors that follow the device of the loss that holds them."""

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
        """An assignment whose layers count the pairs, with the layers of student and teacher instead."""
        return Assignment(self.student[a.layer], a.image, a.query, a.target, self.teacher[a.layer])
