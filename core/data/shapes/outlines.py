"""The outlines of the eight shapes: polygons inside the unit circle around (0, 0). y points down."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

ROUND = 48  # corners of the polygon that stands for a circle


def arc(first: float, last: float, corners: int) -> Float[ndarray, "corners 2"]:
    """Points on the unit circle from one angle to another, both in turns: 0 is to the right, -0.25 is up."""
    angle = 2 * np.pi * np.linspace(first, last, corners)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def regular(corners: int) -> Float[ndarray, "corners 2"]:
    """A regular polygon with one corner at the top."""
    return arc(-0.25, 0.75, corners + 1)[:-1]


def star(points: int, waist: float) -> Float[ndarray, "n 2"]:
    """A star with one point at the top; `waist` is the distance of its inner corners from the centre."""
    corners = regular(2 * points)
    corners[1::2] *= waist
    return corners


def cross(arm: float) -> Float[ndarray, "12 2"]:
    """An upright cross; `arm` is half the width of its bars, and their corners lie on the unit circle."""
    end = np.sqrt(1 - arm**2)
    bar = np.array([[-arm, -end], [arm, -end], [arm, -arm]])
    quarter_turn = np.array([[0, -1], [1, 0]])
    return np.concatenate([bar @ np.linalg.matrix_power(quarter_turn, k).T for k in range(4)])


def crescent(cut: float) -> Float[ndarray, "n 2"]:
    """The unit disc without the unit disc around (cut, 0)."""
    tip = np.arccos(cut / 2) / (2 * np.pi)
    return np.concatenate([arc(tip, 1 - tip, ROUND), arc(0.5 + tip, 0.5 - tip, ROUND) + [cut, 0]])


OUTLINES = {
    "disc": regular(ROUND),
    "ring": regular(ROUND),
    "square": arc(-0.125, 0.625, 4),
    "triangle": regular(3),
    "hexagon": regular(6),
    "star": star(5, waist=0.45),
    "cross": cross(arm=0.33),
    "crescent": crescent(cut=0.75),
}
HOLES = {"ring": 0.55 * regular(ROUND)}
NAMES = tuple(OUTLINES)
