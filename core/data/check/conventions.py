"""How a file's four numbers a box are meant: judged over all boxes, with the evidence."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

Boxes = Float[ndarray, "a 4"]

SLACK = 1.0  # pixels by which a box may leave its image: numbers are rounded
PART = 0.1  # of its own side that a box must have outside of its image to speak against [x, y, width, height]
LEAST = 3  # boxes that must speak so ...
SHARE = 0.02  # ... and this part of all boxes ...
MISFITS = 0.01  # ... while in another reading no more than this part, or one box, does not lie in its image


def from_corners(boxes: Boxes) -> Boxes:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def from_centers(boxes: Boxes) -> Boxes:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


CONVENTIONS: dict[str, Callable[[Boxes], Boxes]] = {  # to (x, y, width, height)
    "[x, y, width, height]": lambda boxes: boxes,
    "corners [x0, y0, x1, y1]": from_corners,
    "centres [cx, cy, width, height]": from_centers,
}
RIGHT = next(iter(CONVENTIONS))


@dataclass(frozen=True)
class BoxConvention:
    """`evidence` is empty where the boxes are what they ought to be."""

    name: str
    fractions: bool
    evidence: str

    def convert(self, boxes: Boxes, sizes: Int[ndarray, "a 2"]) -> Boxes:
        """To (x, y, width, height) in pixels; `sizes` are (height, width) of each box's image."""
        return CONVENTIONS[self.name](boxes * sides(sizes) if self.fractions else boxes)


def judge_convention(boxes: Boxes, sizes: Int[ndarray, "a 2"]) -> BoxConvention:
    """As they ought to be, unless many boxes are then far outside, and nearly all inside in another reading."""
    count, within = len(boxes), fractional(boxes)
    fractions = bool(count and within.mean() > 0.5)
    said = [f"{within.sum()} of {count} boxes have no number above 1"] if fractions else []
    pixels = boxes * sides(sizes) if fractions else boxes
    far = int((excess(pixels, sizes) > PART * pixels[:, 2:]).any(1).sum())
    fit = {name: int(fits(read(pixels), sizes).sum()) for name, read in CONVENTIONS.items()}
    best = max(fit, key=lambda name: fit[name])
    if far < max(LEAST, SHARE * count) or count - fit[best] > max(1, MISFITS * count):
        best = RIGHT
    if best != RIGHT:
        said.append(
            f"{far} of {count} boxes have a tenth or more outside of their image when read as {RIGHT},"
            f" and {fit[best]} lie inside when read as {best}"
        )
    return BoxConvention(best, fractions, "; ".join(said))


def fractional(boxes: Boxes) -> Bool[ndarray, " a"]:
    return (np.abs(boxes) <= 1).all(1) & (boxes[:, 2:] > 0).all(1)


def fits(boxes: Boxes, sizes: Int[ndarray, "a 2"]) -> Bool[ndarray, " a"]:
    return (boxes[:, 2:] > 0).all(1) & (excess(boxes, sizes) <= SLACK).all(1)


def excess(boxes: Boxes, sizes: Int[ndarray, "a 2"]) -> Float[ndarray, "a 2"]:
    """Pixels by which a box leaves its image, across and down; below 0 inside."""
    return np.maximum(-boxes[:, :2], boxes[:, :2] + boxes[:, 2:] - sizes[:, ::-1])


def sides(sizes: Int[ndarray, "a 2"]) -> Int[ndarray, "a 4"]:
    """(width, height, width, height)."""
    return np.tile(sizes[:, ::-1], 2)
