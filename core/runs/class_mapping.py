"""Teachers whose classes differ from the student's: their logits are converted to the student's classes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from core.data.category import Category
from core.detectors._wrapped import Wrapped
from core.detectors.base import Detector
from core.errors import UserError
from core.runs.config import decode
from core.types import SILENT, Memory, Predictions, Queries

ClassMap = tuple[tuple[int, ...], ...]  # for each class of the student, the classes of the teacher that stand for it


class ClassMapped(Wrapped):
    """A detector whose logits are converted to other classes.

    The logit of a class is the highest of the columns that stand for it. A class without columns has a False in `known`,
    and its score is always 0.
    """

    column: Tensor  # c k: the columns of each class, filled up with 0
    empty: Tensor  # c k: True where `column` is only filled up

    def __init__(self, detector: Detector, columns: ClassMap):
        super().__init__(detector)
        self.columns = columns
        self.config = replace(detector.config, classes=len(columns))
        deepest = max(1, *map(len, columns))
        table = torch.tensor([[*c, *[-1] * (deepest - len(c))] for c in columns])
        self.register_buffer("column", table.clamp(min=0), persistent=False)
        self.register_buffer("empty", table < 0, persistent=False)

    @property
    def known(self) -> tuple[bool, ...]:
        """Returns whether the teacher has a class that stands for each class of the student."""
        return tuple(map(bool, self.columns))

    def decode(self, memory: Memory, queries: Queries) -> Predictions:
        predictions = self.detector.decode(memory, queries)
        return replace(predictions, logits=self.map_logits(predictions.logits))

    def map_logits(self, logits: Float[Tensor, "l b q _"]) -> Float[Tensor, "l b q c"]:
        """Converts logits of the teacher's classes to logits of the student's classes."""
        return logits[..., self.column].masked_fill(self.empty, SILENT).amax(-1)


def map_classes(detector: Detector, columns: ClassMap | None) -> Detector:
    """The detector with its logits converted to other classes, or the detector itself if `columns` is None."""
    return detector if columns is None else ClassMapped(detector, columns)


def class_map(
    classes: Sequence[str], teacher_classes: Sequence[str], overrides: Mapping[str, Sequence[str]], where: str
) -> ClassMap | None:
    """Finds the teacher's classes that stand for each class of the data; None if the two lists are the same.

    They are those that `overrides` gives, otherwise the one with the same name. UserError: a name of `overrides`, which
    was read from `where`, is in neither list, or a class has no counterpart and `overrides` does not mention it.
    """
    if list(classes) == list(teacher_classes) and not overrides:
        return None
    if unlisted := [name for name in overrides if name not in classes]:
        raise UserError(f"{where}: {unlisted[0]!r} is no class of the data; its classes are {', '.join(classes)}")
    by_name = {name: [name] for name in classes if name in teacher_classes}
    names: dict[str, Sequence[str]] = {**by_name, **overrides}
    if unknown := [name for name in classes if name not in names]:
        raise UserError(
            f"the teacher does not know the class {unknown[0]!r}; it knows {', '.join(teacher_classes)}: take a teacher of this "
            "data's classes, or say which is which with --class-map FILE.json: "
            '{"class of the data": ["class of the teacher", ..], "class that it lacks": []}'
        )
    if unlisted := [other for name in classes for other in names[name] if other not in teacher_classes]:
        raise UserError(
            f"{where}: {unlisted[0]!r} is no class of the teacher; its classes are {', '.join(teacher_classes)}"
        )
    if not any(names.values()):
        raise UserError(f"{where}: the teacher knows none of the data's classes; take another teacher")
    return tuple(tuple(teacher_classes.index(other) for other in names[name]) for name in classes)


def read_class_map(data: object, where: str) -> dict[str, list[str]]:
    """Checks the JSON of a --class-map file and returns the teacher's classes for each class of the data.

    `data` is {"class of the data": "class of the teacher", or a list of them}. UserError, which names the file `where`: it is
    something else.
    """
    if not isinstance(data, dict):
        raise UserError(f"{where} must hold one object, from our classes to the teacher's, not a {type(data).__name__}")
    names = {name: [value] if isinstance(value, str) else value for name, value in data.items()}
    for name, value in names.items():
        if not isinstance(value, list) or not all(isinstance(other, str) for other in value):
            raise UserError(f"{where}: {name!r} is {value!r}; it must be a class of the teacher, or a list of them")
    return names


def categories_of(card: dict, where: object) -> tuple[Category, ...]:
    """The classes of a card; `where` is its file. UserError: it has none, or they are not classes of different names."""
    categories: tuple[Category, ...] = decode(tuple[Category, ...], card.get("categories"), f"{where}: categories")
    if not categories or len({c.name for c in categories}) < len(categories):
        raise UserError(f"{where}: categories must be classes of different names; give a run of `python -m train fit`")
    return categories
