"""Checks boxes: those in another convention, without area, outside their image, and given twice."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from core.data.check.case import Case
from core.data.check.conventions import EXPECTED, SLACK, BoxConvention, excess, fractional, judge_convention, sides
from core.data.check.repairs import list_ids, remove
from core.data.coco.faults import Fault


@dataclass
class Boxes:
    """The boxes of the sound annotations, all in the convention that the file seems to use."""

    raw: Float[ndarray, "a 4"]  # as the file gives them
    sizes: Int[ndarray, "a 2"]  # (height, width) of the image of each

    @cached_property
    def convention(self) -> BoxConvention:
        """The convention of the file, judged from all boxes."""
        return judge_convention(self.raw, self.sizes)

    @cached_property
    def converted(self) -> Float[ndarray, "a 4"]:
        """(x, y, width, height) in pixels."""
        return self.convention.convert(self.raw, self.sizes)

    @cached_property
    def excess(self) -> Float[ndarray, "a 2"]:
        """Pixels by which each box leaves its image, horizontally and vertically; negative inside."""
        return excess(self.converted, self.sizes)

    @cached_property
    def empty(self) -> Bool[ndarray, " a"]:
        """Boxes without area."""
        width, height = self.converted[:, 2:].T
        return np.logical_or(width <= 0, height <= 0)

    @cached_property
    def outside(self) -> Bool[ndarray, " a"]:
        """Boxes entirely outside their image."""
        return ~self.empty & (self.excess >= self.converted[:, 2:]).any(1)

    @cached_property
    def partly_outside(self) -> Bool[ndarray, " a"]:
        """Boxes that leave their image by more than SLACK, but not entirely."""
        return ~self.empty & ~self.outside & (self.excess > SLACK).any(1)

    @cached_property
    def tiny(self) -> Bool[ndarray, " a"]:
        """Boxes without a number above 1, in a file whose boxes are in pixels: these may be in fractions."""
        return np.logical_and(fractional(self.raw), not self.convention.fractions)


def boxes_of(case: Case) -> Boxes:
    """The boxes of the case's sound annotations."""
    return Boxes(case.instances.boxes, case.instances.sizes[case.instances.image])


def find(case: Case) -> Iterator[Fault]:
    """Boxes in another convention, without area, outside their image, and given twice."""
    boxes = boxes_of(case)
    if boxes.convention.evidence:
        text = f"gives boxes in another convention: {boxes.convention.evidence}; convert them to {EXPECTED} in pixels"
        yield Fault("convention", "the file", text)
    for kind, rows, text in (
        ("empty-box", boxes.empty, "without area; draw it again, or remove the annotation"),
        ("outside", boxes.outside, "entirely outside its image of {}; draw it again, or remove the annotation"),
        ("outside", boxes.partly_outside, "which leaves its image of {} by {:.4g}; clip it"),
        ("convention", boxes.tiny, "less than a pixel, as if in fractions of its image of {}; convert it"),
    ):
        for row in np.flatnonzero(rows).tolist():
            height, width = boxes.sizes[row]
            rule = text.format(f"{width} x {height} pixels", boxes.excess[row].max())
            yield case.annotation_fault(kind, row, f"has bbox {boxes.raw[row].tolist()}, {rule}")
    for row, first in same_boxes(case):
        text = f"has the box and the class of annotation {case.instances.ids[first]}; remove one of the two"
        yield case.annotation_fault("same-box", row, text)


def same_boxes(case: Case) -> list[tuple[int, int]]:
    """The rows whose image, class and box an earlier row has, each with that row."""
    instances = case.instances
    first: dict[tuple, int] = {}
    columns = (instances.image, instances.label, instances.crowd, *instances.boxes.T)
    keys = enumerate(zip(*(column.tolist() for column in columns)))
    return [(row, first[key]) for row, key in keys if first.setdefault(key, row) != row]


def repair(case: Case) -> Iterator[str]:
    """Converts all boxes to [x, y, width, height] in pixels, clips them, and removes what nothing can be learnt from."""
    boxes, ids = boxes_of(case), case.instances.ids
    if boxes.convention.evidence:
        replace_boxes(case, np.arange(len(ids)), boxes.converted)
        yield f"converted all boxes to {EXPECTED} in pixels, because {boxes.convention.evidence}"
    if boxes.partly_outside.any():
        rows = np.flatnonzero(boxes.partly_outside)
        replace_boxes(case, rows, clipped(boxes)[rows])
        yield f"clipped the box to the image: {list_ids('annotation', ids[rows])}"
    for rows, reason in (
        (np.flatnonzero(boxes.empty), "the box has no area"),
        (np.flatnonzero(boxes.outside), "the box is entirely outside its image"),
        (np.array([row for row, _ in same_boxes(case)], dtype=int), "another annotation has the same box and class"),
    ):
        yield from remove(case, "annotations", ids[rows], reason)


def clipped(boxes: Boxes) -> Float[ndarray, "a 4"]:
    """The boxes (x, y, width, height), clipped to their images."""
    low, size = boxes.converted[:, :2], boxes.converted[:, 2:]
    corners = np.concatenate([low, low + size], axis=1).clip(0, sides(boxes.sizes))
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def replace_boxes(case: Case, rows: Int[ndarray, " n"], boxes: Float[ndarray, "n 4"]) -> None:
    """Writes new boxes into the records. An area that was the area of the old box becomes that of the new one."""
    for row, box in zip(rows, boxes.tolist()):
        record = case.file["annotations"][case.positions["annotations"][int(case.instances.ids[row])]]
        if record.get("area") == record["bbox"][2] * record["bbox"][3]:
            record["area"] = box[2] * box[3]
        record["bbox"] = box
