"""Which detection found which object, by COCO's rule: what error kinds, calibration, and gains and losses are read from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from faster_coco_eval.core import mask
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from core.data.category import Category
from core.metrics.detections import Detections

MIN_IOU = 0.5  # IoU from which an object counts as found


@dataclass(frozen=True)
class Objects:
    """The annotations of a COCO instances dict, in its order."""

    ids: Int[ndarray, " t"]
    image: Int[ndarray, " t"]  # image ids
    label: Int[ndarray, " t"]
    boxes: Float[ndarray, "t 4"]  # (x, y, width, height) in pixels of the source image
    area: Float[ndarray, " t"]
    crowd: Bool[ndarray, " t"]  # a region of many: neither to be found nor wrong to be named

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class ImageOverlaps:
    """Detections and objects of one image, as rows of both tables."""

    detections: Int[ndarray, " n"]  # the best first
    objects: Int[ndarray, " t"]  # without crowd regions
    iou: Float[ndarray, "n t"]
    same: Bool[ndarray, "n t"]  # of one class
    ignored: Bool[ndarray, " n"]  # lies in a crowd region of its class


@dataclass(frozen=True)
class Hits:
    """Whom each detection found, at one IoU."""

    object: Int[ndarray, " n"]  # row of the object, -1 without one
    detection: Int[ndarray, " t"]  # row of the detection that found each object, -1 where none did
    ignored: Bool[ndarray, " n"]  # found nothing, but lies in a crowd region: neither right nor wrong

    @property
    def right(self) -> Bool[ndarray, " n"]:
        return self.object >= 0

    @property
    def wrong(self) -> Bool[ndarray, " n"]:
        return ~self.right & ~self.ignored


def objects(truth: dict, categories: Sequence[Category]) -> Objects:
    """Of a COCO instances dict; labels are positions in `categories`."""
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


def hits(found: Detections, truth: Objects, iou: float = MIN_IOU) -> Hits:
    """The best first, each detection takes the free object of its class that it overlaps most, if by `iou` or more."""
    object_of = np.full(len(found), -1)
    detection_of, ignored = np.full(len(truth), -1), np.zeros(len(found), dtype=bool)
    for m in image_overlaps(found, truth, iou):
        for row, column in claims(m.iou * m.same, iou):
            object_of[m.detections[row]], detection_of[m.objects[column]] = m.objects[column], m.detections[row]
        ignored[m.detections] = m.ignored
    return Hits(object_of, detection_of, ignored & (object_of < 0))


def claims(overlap: Float[ndarray, "n t"], least: float) -> Iterator[tuple[int, int]]:
    """(row, column) of each hit, where rows choose in order."""
    free = overlap.copy()
    for row in (overlap >= least).any(1).nonzero()[0]:
        column = free[row].argmax()
        if free[row, column] >= least:
            free[:, column] = 0
            yield int(row), int(column)


def image_overlaps(found: Detections, truth: Objects, iou: float = MIN_IOU) -> Iterator[ImageOverlaps]:
    """Image by image, those with detections; a detection lies in a crowd region by `iou` or more of its own area."""
    image, label, score = (x.numpy() for x in (found.image_ids, found.labels, found.scores))
    boxes = found.boxes.double().numpy()
    boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    there = rows_by(truth.image)
    none = np.zeros(0, dtype=np.int64)
    for id, rows in rows_by(image).items():
        rows, here = rows[np.argsort(-score[rows], kind="stable")], there.get(id, none)
        one, many = here[~truth.crowd[here]], here[truth.crowd[here]]
        same = [label[rows][:, None] == truth.label[columns] for columns in (one, many)]
        crowded = (overlaps(boxes[rows], truth.boxes[many], crowd=True) >= iou) & same[1]
        yield ImageOverlaps(rows, one, overlaps(boxes[rows], truth.boxes[one], crowd=False), same[0], crowded.any(1))


def overlaps(a: Float[ndarray, "n 4"], b: Float[ndarray, "t 4"], *, crowd: bool) -> Float[ndarray, "n t"]:
    """IoU of every pair; with crowd regions the share of `a` that lies in them. COCO's own function."""
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    return np.asarray(mask.iou(a, b, [crowd] * len(b)))


def rows_by(key: Int[ndarray, " n"]) -> dict[int, Int[ndarray, " m"]]:
    """The rows of each value, in order."""
    order = np.argsort(key, kind="stable")
    values, first = np.unique(key[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, first[1:])))
