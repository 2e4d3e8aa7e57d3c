"""The objects of all images of a data set as columns, so that thousands of images are filtered at once."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

LOOKED_AT = 200  # images, among which one worth opening is looked for
FEW, MANY = 3, 5  # objects of an image worth opening
INTERSECTION = ((np.maximum, slice(0, 2)), (np.minimum, slice(2, 4)))  # of corners


@dataclass(frozen=True)
class Columns:
    """Objects in the order of the images, those of an image in the order of its sample. Crowd regions are none."""

    image: Int[ndarray, " t"]  # index of the image in the data
    label: Int[ndarray, " t"]
    side: Float[ndarray, " t"]  # root of the annotated area, in pixels: COCO calls up to 32 small, and from 96 large
    counts: Int[ndarray, " i"]  # number of objects of each image
    box: Float[ndarray, "t 4"]  # corners in fractions of the image

    @property
    def first(self) -> Int[ndarray, " i"]:
        """The row of each image's first object."""
        return np.cumsum(self.counts) - self.counts

    def telling(self) -> int:
        """The index of an image worth opening, of the first `LOOKED_AT`: of several that tell as much, the first."""
        return max(range(min(LOOKED_AT, len(self.counts))), key=self.tells)

    def tells(self, image: int) -> tuple[bool, int, float]:
        """How much an image shows: whether it has a few objects, of how many classes, and the least free area of their boxes."""
        count, first = self.counts[image], self.first[image]
        own = slice(first, first + count)
        return bool(FEW <= count <= MANY), len(np.unique(self.label[own])), least_free(self.box[own])


def columns(truth: dict) -> Columns:
    """The columns of a COCO instances dict. A box that is empty or outside of its image is no object."""
    index = {image["id"]: k for k, image in enumerate(truth["images"])}
    label = {category["id"]: k for k, category in enumerate(truth["categories"])}
    rows = [a for a in truth["annotations"] if a["category_id"] in label]
    image = np.array([index[a["image_id"]] for a in rows], dtype=int)
    sizes = np.array([(x["height"], x["width"]) for x in truth["images"]], dtype=float).reshape(-1, 2)
    boxes = np.array([a["bbox"] for a in rows], dtype=float).reshape(-1, 4)
    crowd = np.array([a["iscrowd"] for a in rows], dtype=bool)
    inside = cut(boxes, sizes[image])
    keep = (inside[:, 2:] > inside[:, :2]).all(1) & ~crowd
    order = np.flatnonzero(keep)[np.argsort(image[keep], kind="stable")]
    return Columns(
        image[order],
        np.array([label[a["category_id"]] for a in rows], dtype=int)[order],
        np.sqrt(np.array([a["area"] for a in rows], dtype=float))[order],
        np.bincount(image[order], minlength=len(sizes)),
        inside[order],
    )


def cut(boxes: Float[ndarray, "t 4"], sizes: Float[ndarray, "t 2"]) -> Float[ndarray, "t 4"]:
    """The parts of boxes (x, y, width, height) that are inside their images, which are (height, width) pixels large.

    They are corners in fractions of the image.
    """
    low, limits = boxes[:, :2], sizes[:, ::-1]
    return np.concatenate([low, low + boxes[:, 2:]], 1).clip(0, np.tile(limits, 2)) / np.tile(limits, 2)


def least_free(boxes: Float[ndarray, "t 4"]) -> float:
    """The area of the most covered box less that of its intersections with the others, in fractions of the image; 0 of none."""
    low, high = (pick(boxes[:, None, side], boxes[None, :, side]) for pick, side in INTERSECTION)
    shared = (high - low).clip(0).prod(-1)
    return float((2 * shared.diagonal() - shared.sum(1)).min()) if len(boxes) else 0.0
