"""Boxes: in another convention, without an area, outside of their image, given twice."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from core.data.check.case import Case
from core.data.check.conventions import RIGHT, SLACK, BoxConvention, excess, fractional, judge_convention
from core.data.check.repairs import left_out, some
from core.data.coco.faults import Fault


@dataclass
class Boxes:
    """Of the sound records, read as the file as a whole seems to mean them."""

    given: Float[ndarray, "a 4"]
    sizes: Int[ndarray, "a 2"]  # (height, width) of the image of each

    @cached_property
    def reading(self) -> BoxConvention:
        return judge_convention(self.given, self.sizes)

    @cached_property
    def right(self) -> Float[ndarray, "a 4"]:
        return self.reading.convert(self.given, self.sizes)

    @cached_property
    def over(self) -> Float[ndarray, "a 2"]:
        return excess(self.right, self.sizes)

    @cached_property
    def empty(self) -> Bool[ndarray, " a"]:
        return (self.right[:, 2:] <= 0).any(1)

    @cached_property
    def outside(self) -> Bool[ndarray, " a"]:
        """Wholly."""
        return ~self.empty & (self.over >= self.right[:, 2:]).any(1)

    @cached_property
    def leaving(self) -> Bool[ndarray, " a"]:
        """In part."""
        return ~self.empty & ~self.outside & (self.over > SLACK).any(1)

    @cached_property
    def specks(self) -> Bool[ndarray, " a"]:
        """Less than a pixel, in a file of larger ones."""
        return fractional(self.given) & (not self.reading.fractions)


def boxes_of(case: Case) -> Boxes:
    return Boxes(case.instances.boxes, case.instances.sizes[case.instances.image])


def find(case: Case) -> Iterator[Fault]:
    boxes = boxes_of(case)
    if boxes.reading.evidence:
        text = f"gives boxes in another form: {boxes.reading.evidence}; convert them to {RIGHT} in pixels"
        yield Fault("convention", "the file", text)
    for kind, rows, text in (
        ("empty-box", boxes.empty, "without an area; draw it anew, or remove the annotation"),
        ("outside", boxes.outside, "wholly outside of its image of {}; draw it anew, or remove the annotation"),
        ("outside", boxes.leaving, "which leaves its image of {} by {:.4g}; clip it"),
        ("convention", boxes.specks, "less than a pixel, as if in fractions of its image of {}; convert it"),
    ):
        for row in np.flatnonzero(rows).tolist():
            height, width = boxes.sizes[row]
            rule = text.format(f"{width} x {height} pixels", boxes.over[row].max())
            yield case.of_annotation(kind, row, f"has bbox {boxes.given[row].tolist()}, {rule}")
    for row, first in same(case):
        text = f"has the box and the class of annotation {case.instances.ids[first]}; remove one of the two"
        yield case.of_annotation("same-box", row, text)


def same(case: Case) -> list[tuple[int, int]]:
    """Rows whose image, class and box an earlier row has, with that row."""
    found = case.instances
    first: dict[tuple, int] = {}
    columns = (found.image, found.label, found.crowd, *found.boxes.T)
    keys = enumerate(zip(*(column.tolist() for column in columns)))
    return [(row, first[key]) for row, key in keys if first.setdefault(key, row) != row]


def mend(case: Case) -> Iterator[str]:
    boxes, ids = boxes_of(case), case.instances.ids
    if boxes.reading.evidence:
        rewrite(case, np.arange(len(ids)), boxes.right)
        yield f"converted all boxes to {RIGHT} in pixels, as {boxes.reading.evidence}"
    if boxes.leaving.any():
        rows = np.flatnonzero(boxes.leaving)
        rewrite(case, rows, clipped(boxes)[rows])
        yield f"clipped to their images: {some('annotation', ids[rows])}"
    for rows, why in (
        (np.flatnonzero(boxes.empty), "the box has no area"),
        (np.flatnonzero(boxes.outside), "the box is wholly outside of its image"),
        (np.array([row for row, _ in same(case)], dtype=int), "another has that box and class too"),
    ):
        yield from left_out(case, "annotations", ids[rows], why)


def clipped(boxes: Boxes) -> Float[ndarray, "a 4"]:
    limit = np.tile(boxes.sizes[:, ::-1], 2)
    ends = np.concatenate([boxes.right[:, :2], boxes.right[:, :2] + boxes.right[:, 2:]], axis=1).clip(0, limit)
    return np.concatenate([ends[:, :2], ends[:, 2:] - ends[:, :2]], axis=1)


def rewrite(case: Case, rows: Int[ndarray, " n"], boxes: Float[ndarray, "n 4"]) -> None:
    """An area that was that of the box follows it."""
    for row, box in zip(rows, boxes.tolist()):
        record = case.file["annotations"][case.places["annotations"][int(case.instances.ids[row])]]
        if record.get("area") == record["bbox"][2] * record["bbox"][3]:
            record["area"] = box[2] * box[3]
        record["bbox"] = box
