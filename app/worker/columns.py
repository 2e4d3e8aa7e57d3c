"""The objects of all images of a data set as columns, so that thousands of images are filtered at once."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

LOOKED_AT = 200  # images, among which one worth opening is looked for
FEW, MANY = 3, 8  # objects of an image worth opening


@dataclass(frozen=True)
class Columns:
    """Objects in the order of the images, those of an image in the order of its sample. Crowd regions are none."""

    image: Int[ndarray, " t"]  # index of the image in the data
    label: Int[ndarray, " t"]
    side: Float[ndarray, " t"]  # root of the annotated area, in pixels: COCO calls up to 32 small, and from 96 large
    counts: Int[ndarray, " i"]  # number of objects of each image

    @property
    def first(self) -> Int[ndarray, " i"]:
        """The row of each image's first object."""
        return np.cumsum(self.counts) - self.counts

    def telling(self) -> int:
        """The index of an image worth opening, of the first `LOOKED_AT`.

        It is one with 3 to 8 objects of the most classes, as enough is there to be seen and nothing is crowded, or one with
        objects of the most classes where none has so many; of several the first.
        """
        counts = self.counts[:LOOKED_AT]
        kinds = [len(np.unique(self.label[first : first + n])) for first, n in zip(self.first, counts)]
        return max(range(len(counts)), key=lambda k: (FEW <= counts[k] <= MANY, kinds[k]))


def columns(truth: dict) -> Columns:
    """The columns of a COCO instances dict. A box that is empty or outside of its image is no object."""
    index = {image["id"]: k for k, image in enumerate(truth["images"])}
    label = {category["id"]: k for k, category in enumerate(truth["categories"])}
    rows = [a for a in truth["annotations"] if a["category_id"] in label]
    image = np.array([index[a["image_id"]] for a in rows], dtype=int)
    sizes = np.array([(x["height"], x["width"]) for x in truth["images"]], dtype=float).reshape(-1, 2)
    boxes = np.array([a["bbox"] for a in rows], dtype=float).reshape(-1, 4)
    crowd = np.array([a["iscrowd"] for a in rows], dtype=bool)
    keep = visible(boxes, sizes[image]) & ~crowd
    order = np.flatnonzero(keep)[np.argsort(image[keep], kind="stable")]
    return Columns(
        image[order],
        np.array([label[a["category_id"]] for a in rows], dtype=int)[order],
        np.sqrt(np.array([a["area"] for a in rows], dtype=float))[order],
        np.bincount(image[order], minlength=len(sizes)),
    )


def visible(boxes: Float[ndarray, "t 4"], sizes: Float[ndarray, "t 2"]) -> Bool[ndarray, " t"]:
    """Says of each box (x, y, width, height) whether a part of it is inside its image, which is (height, width) pixels large."""
    limits = sizes[:, ::-1]
    low, high = boxes[:, :2].clip(0, limits), (boxes[:, :2] + boxes[:, 2:]).clip(0, limits)
    return (high > low).all(1)
