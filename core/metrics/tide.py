"""TIDE: six kinds of detection errors, and the AP that each of them costs.

Bolya et al., ECCV 2020 (arXiv 2008.08115). A detection that finds no object is one of

    loc     localisation: of the right class, but overlaps its object too little
    cls     classification: on an object of another class
    dupe    duplicate: on an object that a detection of higher score finds
    bkg     background: on no object
    both    everything else: of another class, and overlaps too little

and an object is `miss` if no detection finds it and no error of class or localisation would find it. An overlap is enough from
MIN_IOU on, and on no object up to BACKGROUND_IOU. The AP of a kind is AP50 with its errors corrected, minus AP50: errors of
class and localisation become hits (one for each object that is not found, that of the highest score; the rest are removed),
other errors are removed, and missed objects are removed from the truth. Unlike in TIDE's release, correcting one kind never
changes errors of another, and AP50 is COCO's: classes without objects do not count.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from core.metrics.detections import Detections
from core.metrics.hits import MIN_IOU, Hits, ImageOverlaps, Objects, hits, image_overlaps

BACKGROUND_IOU = 0.1  # IoU up to which a detection is on the background
KINDS = ("cls", "loc", "both", "dupe", "bkg", "miss")
RECALLS = np.linspace(0, 1, 101)  # recalls at which COCO samples precision


@dataclass(frozen=True)
class Errors:
    """The kind of error of each detection, and the objects that are missed."""

    hits: Hits
    kind: Int[ndarray, " n"]  # position in KINDS, -1 if the detection is no error
    about: Int[ndarray, " n"]  # row of the object that an error of class or localisation would find; -1 for all others
    missed: Bool[ndarray, " t"]  # whether each object is `miss`

    def count(self, kind: str) -> int:
        """Number of errors of a kind."""
        return int(self.missed.sum() if kind == "miss" else (self.kind == KINDS.index(kind)).sum())


def errors(detections: Detections, truth: Objects) -> Errors:
    """Classifies every wrong detection; an object is found, or missed, or the object of an error of class or localisation."""
    result = hits(detections, truth)
    kind, about = np.full(len(detections), -1), np.full(len(detections), -1)
    for image in image_overlaps(detections, truth):
        kind[image.detections], about[image.detections] = error_kinds(image, result)
    kind[~result.wrong] = -1
    about[(kind != KINDS.index("cls")) & (kind != KINDS.index("loc"))] = -1
    correctable = np.zeros(len(truth), dtype=bool)
    correctable[about[about >= 0]] = True
    return Errors(result, kind, about, (result.detection < 0) & ~correctable & ~truth.crowd)


def error_kinds(m: ImageOverlaps, h: Hits) -> tuple[Int[ndarray, " n"], Int[ndarray, " n"]]:
    """The kind of each detection of an image, as if it were an error, and the object that it overlaps most.

    The object is of the same class for `loc`, of another class for all other kinds.
    """
    if not len(m.objects):
        return np.full(len(m.detections), KINDS.index("bkg")), np.full(len(m.detections), -1)
    right, other, taken = m.iou * m.same, m.iou * ~m.same, m.iou * m.same * (h.detection[m.objects] >= 0)
    best = right.max(1)
    cases = {
        "loc": (BACKGROUND_IOU <= best) & (best < MIN_IOU),
        "cls": other.max(1) >= MIN_IOU,
        "dupe": taken.max(1) >= MIN_IOU,
        "bkg": m.iou.max(1) <= BACKGROUND_IOU,
    }
    kind = np.select(list(cases.values()), [KINDS.index(k) for k in cases], KINDS.index("both"))
    return kind, m.objects[np.where(cases["loc"], right.argmax(1), other.argmax(1))]


def delta_ap(detections: Detections, truth: Objects) -> dict[str, float]:
    """AP50 under "ap50", and for each of KINDS its gain if these errors are corrected; all 0 .. 1, NaN without objects."""
    e = errors(detections, truth)
    label, score = detections.labels.numpy(), detections.scores.numpy()
    base = ap50(label, score, e.hits.right, ~e.hits.ignored, truth.label[~truth.crowd])
    gains = {kind: corrected_ap50(kind, e, truth, label, score) - base for kind in KINDS}
    return {"ap50": base} | {kind: max(0.0, gain) if gain == gain else gain for kind, gain in gains.items()}


def corrected_ap50(
    kind: str, e: Errors, truth: Objects, label: Int[ndarray, " n"], score: Float[ndarray, " n"]
) -> float:
    """AP50 with the errors of one kind corrected."""
    if kind == "miss":
        return ap50(label, score, e.hits.right, ~e.hits.ignored, truth.label[~truth.crowd & ~e.missed])
    wrong = e.kind == KINDS.index(kind)
    hit = corrected_hits(e, wrong, score)
    label = np.where(hit, truth.label[e.about], label) if len(truth) else label
    return ap50(label, score, e.hits.right | hit, ~e.hits.ignored & (~wrong | hit), truth.label[~truth.crowd])


def corrected_hits(e: Errors, wrong: Bool[ndarray, " n"], score: Float[ndarray, " n"]) -> Bool[ndarray, " n"]:
    """Returns whether each of the `wrong` detections becomes a hit: the one of the highest score about each object not found."""
    rows = np.flatnonzero(wrong & (e.about >= 0))
    rows = rows[e.hits.detection[e.about[rows]] < 0]
    rows = rows[np.argsort(-score[rows], kind="stable")]
    _, first = np.unique(e.about[rows], return_index=True)
    hit = np.zeros(len(wrong), dtype=bool)
    hit[rows[first]] = True
    return hit


def ap50(
    label: Int[ndarray, " n"],
    score: Float[ndarray, " n"],
    right: Bool[ndarray, " n"],
    counted: Bool[ndarray, " n"],
    objects: Int[ndarray, " t"],
) -> float:
    """COCO's AP at IoU 0.5: mean over the classes that have objects of the area under the precision-recall curve.

    `label`, `score` and `right` are those of the detections; those that are not `counted` are left out. `objects` holds the label
    of each object. NaN without objects.
    """
    classes, numbers = np.unique(objects, return_counts=True)
    order = np.argsort(-score, kind="stable")
    order = order[counted[order]]
    areas = [area(right[order[label[order] == c]], n) for c, n in zip(classes, numbers.tolist())]
    return float(np.mean(areas)) if areas else float("nan")


def area(right: Bool[ndarray, " n"], objects: int) -> float:
    """Area under the precision-recall curve of one class, from its detections in order of score and its number of objects."""
    if not len(right):
        return 0.0
    true = right.cumsum()
    precision = true / np.arange(1, len(true) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(true / objects, RECALLS, side="left")
    return float(np.append(precision, 0.0)[at].mean())
