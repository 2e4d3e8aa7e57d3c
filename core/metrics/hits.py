"""Hits: which detection finds which object, by COCO's rule. Error kinds, calibration, gains and losses build on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from core.data.category import Category
from core.metrics.detections import Detections

MIN_IOU = 0.5  # IoU from which a detection finds an object


@dataclass(frozen=True)
class Objects:
    """The annotations of a COCO instances dict, one row each, in its order."""

    ids: Int[ndarray, " t"]  # annotation ids
    image: Int[ndarray, " t"]  # image ids
    label: Int[ndarray, " t"]  # position in the list of categories
    boxes: Float[ndarray, "t 4"]  # (x, y, width, height) in pixels of the source image
    area: Float[ndarray, " t"]  # in square pixels, as annotated
    crowd: Bool[ndarray, " t"]  # a region of many objects: not to be found, and no error to detect

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class ImageOverlaps:
    """IoU of each detection of one image with each of its objects, crowd regions left out."""

    detections: Int[ndarray, " n"]  # rows in `Detections`, highest score first
    objects: Int[ndarray, " t"]  # rows in `Objects`
    iou: Float[ndarray, "n t"]
    same: Bool[ndarray, "n t"]  # whether both are of the same class
    ignored: Bool[ndarray, " n"]  # whether it lies in a crowd region of its class


@dataclass(frozen=True)
class Hits:
    """The object that each detection finds, at one threshold of IoU."""

    object: Int[ndarray, " n"]  # row in `Objects`, -1 if it finds none
    detection: Int[ndarray, " t"]  # row in `Detections` of the one that finds each object, -1 if none does
    ignored: Bool[ndarray, " n"]  # finds no object but lies in a crowd region: neither right nor wrong

    @property
    def right(self) -> Bool[ndarray, " n"]:
        """Returns whether each detection finds an object."""
        return self.object >= 0

    @property
    def wrong(self) -> Bool[ndarray, " n"]:
        """Returns whether each detection is an error: finds no object, and does not lie in a crowd region."""
        return ~self.right & ~self.ignored


def objects(truth: dict, categories: Sequence[Category]) -> Objects:
    """The objects of a COCO instances dict; labels are positions in `categories`."""
    label, rows = {c.id: k for k, c in enumerate(categories)}, truth["annotations"]
    boxes = np.array([a["bbox"] for a in rows], dtype=np.float64).reshape(-1, 4)
    return Objects(
        np.array([a["id"] for a in rows], dtype=np.int64),
        np.array([a["image_id"] for a in rows], dtype=np.int64),
        np.array([label[a["category_id"]] for a in rows], dtype=np.int64),
        boxes,
        np.array([a.get("area", a["bbox"][2] * a["bbox"][3]) for a in rows], dtype=np.float64),
        np.array([a.get("iscrowd", 0) for a in rows], dtype=bool),
    )


def hits(detections: Detections, truth: Objects, iou: float = MIN_IOU) -> Hits:
    """COCO's rule: in order of score, each detection finds the free object of its class with the highest IoU, at least `iou`."""
    object_of = np.full(len(detections), -1)
    detection_of, ignored = np.full(len(truth), -1), np.zeros(len(detections), dtype=bool)
    for image in image_overlaps(detections, truth, iou):
        for row, column in greedy_pairs(image.iou * image.same, iou):
            detection, object_ = image.detections[row], image.objects[column]
            object_of[detection], detection_of[object_] = object_, detection
        ignored[image.detections] = image.ignored
    return Hits(object_of, detection_of, ignored & (object_of < 0))


def greedy_pairs(overlap: Float[ndarray, "n t"], min_iou: float) -> Iterator[tuple[int, int]]:
    """Pairs (row, column): each row in turn takes the free column of its highest overlap, if that is at least `min_iou`."""
    free = overlap.copy()
    for row in np.flatnonzero((overlap >= min_iou).any(1)):
        column = free[row].argmax()
        if free[row, column] >= min_iou:
            free[:, column] = 0
            yield int(row), int(column)


def image_overlaps(detections: Detections, truth: Objects, iou: float = MIN_IOU) -> Iterator[ImageOverlaps]:
    """The overlaps of each image with detections.

    A detection lies in a crowd region if a share of its own area of at least `iou` does.
    """
    image, label, score = (x.numpy() for x in (detections.image_ids, detections.labels, detections.scores))
    boxes = detections.boxes.double().numpy()
    boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    objects_of = rows_by(truth.image)
    none = np.zeros(0, dtype=np.int64)
    for id, rows in rows_by(image).items():
        rows, columns = rows[np.argsort(-score[rows], kind="stable")], objects_of.get(id, none)
        single, crowd = columns[~truth.crowd[columns]], columns[truth.crowd[columns]]
        same, same_as_crowd = (label[rows][:, None] == truth.label[x] for x in (single, crowd))
        in_crowd = (overlaps(boxes[rows], truth.boxes[crowd], crowd=True) >= iou) & same_as_crowd
        table = overlaps(boxes[rows], truth.boxes[single], crowd=False)
        yield ImageOverlaps(rows, single, table, same, in_crowd.any(1))


def overlaps(a: Float[ndarray, "n 4"], b: Float[ndarray, "t 4"], *, crowd: bool) -> Float[ndarray, "n t"]:
    """IoU of every pair of boxes (x, y, width, height); for crowd regions `b`, the share of `a` inside. COCO's own function."""
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    from faster_coco_eval.core import mask  # a machine that only trains need not have it

    return np.asarray(mask.iou(a, b, [crowd] * len(b)))


def rows_by(key: Int[ndarray, " n"]) -> dict[int, Int[ndarray, " m"]]:
    """The rows that hold each value of a column, in order."""
    order = np.argsort(key, kind="stable")
    values, first = np.unique(key[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, first[1:])))
