"""A teacher of other classes: its scores, told in the student's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from core.detectors.base import Detector
from core.errors import UserError
from core.types import SILENT, Images, Memory, Predictions, Queries

ClassMap = tuple[tuple[int, ...], ...]  # for each class of the student, those of the teacher that are it


class ClassMapped(Detector):
    """A class of several columns has the highest of their logits; one of none is `known` False and never seen."""

    def __init__(self, detector: Detector, columns: ClassMap):
        super().__init__()
        self.detector, self.columns = detector, columns
        self.config = replace(detector.config, classes=len(columns))
        deepest = max(1, *map(len, columns))
        table = torch.tensor([[*c, *[-1] * (deepest - len(c))] for c in columns])
        self.register_buffer("column", table.clamp(min=0), persistent=False)
        self.register_buffer("empty", table < 0, persistent=False)

    @property
    def kind(self) -> str:
        return self.detector.kind

    @property
    def proposes(self) -> bool:
        return self.detector.proposes

    @property
    def known(self) -> tuple[bool, ...]:
        return tuple(map(bool, self.columns))

    def encode(self, images: Images) -> Memory:
        return self.detector.encode(images)

    def propose(self, memory: Memory) -> Queries:
        return self.detector.propose(memory)

    def decode(self, memory: Memory, queries: Queries) -> Predictions:
        found = self.detector.decode(memory, queries)
        return replace(found, logits=self.told(found.logits))

    def told(self, logits: Tensor) -> Tensor:
        """Of the student's classes."""
        return logits[..., self.column].masked_fill(self.empty, SILENT).amax(-1)


def map_classes(detector: Detector, columns: ClassMap | None) -> Detector:
    return detector if columns is None else ClassMapped(detector, columns)


def class_map(
    ours: Sequence[str], theirs: Sequence[str], said: Mapping[str, Sequence[str]], where: str
) -> ClassMap | None:
    """Which of their classes is each of ours: those that `said` names, else the one of the same name.

    None where the two lists are the same. UserError: a name that is in no list, or a class of ours without any of theirs
    that `said` does not mention.
    """
    if list(ours) == list(theirs) and not said:
        return None
    if odd := [name for name in said if name not in ours]:
        raise UserError(f"{where}: {odd[0]!r} is no class of the data; its classes are {', '.join(ours)}")
    named = {name: said.get(name, [name] if name in theirs else None) for name in ours}
    if unknown := [name for name, found in named.items() if found is None]:
        raise UserError(
            f"the teacher does not know the class {unknown[0]!r}; it knows {', '.join(theirs)}: take a teacher of this data's "
            'classes, or say which is which with --class-map FILE.json: {"ours": ["theirs", ..], "unknown to it": []}'
        )
    if odd := [other for found in named.values() for other in found if other not in theirs]:
        raise UserError(f"{where}: {odd[0]!r} is no class of the teacher; its classes are {', '.join(theirs)}")
    if not any(named.values()):
        raise UserError(f"{where}: the teacher knows none of the data's classes; take another teacher")
    return tuple(tuple(theirs.index(other) for other in named[name]) for name in ours)


def read_class_map(data, where: str) -> dict[str, list[str]]:
    """{"our class": "their class", or a list of them}; UserError where it is something else."""
    if not isinstance(data, dict):
        raise UserError(f"{where} must hold one object, our class to theirs, not a {type(data).__name__}")
    found = {name: [value] if isinstance(value, str) else value for name, value in data.items()}
    for name, value in found.items():
        if not isinstance(value, list) or not all(isinstance(other, str) for other in value):
            raise UserError(f"{where}: {name!r} is {value!r}; it must be a class of the teacher, or a list of them")
    return found
