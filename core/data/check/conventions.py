"""Finds the convention of a file's boxes: how four numbers describe a box. All boxes are judged together, with the evidence."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

Boxes = Float[ndarray, "a 4"]

SLACK = 1.0  # pixels by which a box may leave its image: numbers are rounded
FAR = 0.1  # of its side: a box that is outside by more speaks against [x, y, width, height]
LEAST_FAR = 3  # another convention is reported if so many boxes are far outside ...
FAR_SHARE = 0.02  # ... and this share of all boxes ...
MISFIT_SHARE = 0.01  # ... while in the other convention no more than this share, or one box, leaves its image


def from_corners(boxes: Boxes) -> Boxes:
    """Converts (x0, y0, x1, y1) to (x, y, width, height)."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def from_centers(boxes: Boxes) -> Boxes:
    """Converts (cx, cy, width, height) to (x, y, width, height)."""
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


CONVENTIONS: dict[str, Callable[[Boxes], Boxes]] = {  # how each is converted to (x, y, width, height)
    "[x, y, width, height]": lambda boxes: boxes,
    "corners [x0, y0, x1, y1]": from_corners,
    "centres [cx, cy, width, height]": from_centers,
}
EXPECTED = next(iter(CONVENTIONS))  # COCO's own


@dataclass(frozen=True)
class BoxConvention:
    """The convention of a file."""

    name: str  # one of CONVENTIONS
    fractions: bool  # whether the numbers are fractions of the image's sides, not pixels
    evidence: str  # "" if the boxes are [x, y, width, height] in pixels, as they should be

    def convert(self, boxes: Boxes, sizes: Int[ndarray, "a 2"]) -> Boxes:
        """Converts boxes to (x, y, width, height) in pixels, given the (height, width) of each box's image."""
        return CONVENTIONS[self.name](boxes * sides(sizes) if self.fractions else boxes)


def judge_convention(boxes: Boxes, sizes: Int[ndarray, "a 2"]) -> BoxConvention:
    """The convention of the boxes, given the (height, width) of each box's image.

    It is [x, y, width, height], unless many boxes would then be far outside their image, while in another convention nearly all
    boxes are inside. The numbers are fractions if most boxes have none above 1.
    """
    count, within_one = len(boxes), fractional(boxes)
    fractions = bool(count and within_one.mean() > 0.5)
    evidence = [f"{within_one.sum()} of {count} boxes have no number above 1"] if fractions else []
    pixels = boxes * sides(sizes) if fractions else boxes
    far = int((excess(pixels, sizes) > FAR * pixels[:, 2:]).any(1).sum())
    inside = {name: int(fits(convert(pixels), sizes).sum()) for name, convert in CONVENTIONS.items()}
    best = max(inside, key=lambda name: inside[name])
    if far < max(LEAST_FAR, FAR_SHARE * count) or count - inside[best] > max(1, MISFIT_SHARE * count):
        best = EXPECTED
    if best != EXPECTED:
        evidence.append(
            f"{far} of {count} boxes have a tenth or more outside their image if they are {EXPECTED},"
            f" and {inside[best]} lie inside if they are {best}"
        )
    return BoxConvention(best, fractions, "; ".join(evidence))


def fractional(boxes: Boxes) -> Bool[ndarray, " a"]:
    """Returns whether each box has a positive size and no number above 1, as boxes in fractions have."""
    return np.logical_and((np.abs(boxes) <= 1).all(1), (boxes[:, 2:] > 0).all(1))


def fits(boxes: Boxes, sizes: Int[ndarray, "a 2"]) -> Bool[ndarray, " a"]:
    """Returns whether each box (x, y, width, height) has a positive size and lies in its image, but for SLACK."""
    return np.logical_and((boxes[:, 2:] > 0).all(1), (excess(boxes, sizes) <= SLACK).all(1))


def excess(boxes: Boxes, sizes: Int[ndarray, "a 2"]) -> Float[ndarray, "a 2"]:
    """Pixels by which each box (x, y, width, height) leaves its image, horizontally and vertically; negative inside."""
    return np.maximum(-boxes[:, :2], boxes[:, :2] + boxes[:, 2:] - sizes[:, ::-1])


def sides(sizes: Int[ndarray, "a 2"]) -> Int[ndarray, "a 4"]:
    """(width, height, width, height) of each (height, width)."""
    return np.tile(sizes[:, ::-1], 2)
