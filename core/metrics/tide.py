"""Why detections fail: six kinds of errors, and what AP would gain without each.

TIDE, Bolya et al., ECCV 2020 (arXiv 2008.08115). A detection that found nothing is

    loc     of the right class, but overlaps its object too little
    cls     on an object of another class
    dupe    on an object that a surer detection has already found
    bkg     on nothing
    both    anything else: of another class, and overlapping too little

and an object that nobody found, and that no error of class or place would have found, is `miss`. Overlaps count as
"enough" from FOUND on and as "nothing" up to GROUND. The cost of a kind is AP50 with its errors mended, less AP50:
errors of class and place become hits (one for each object that is not found, the surest; the rest are dropped), the
others are dropped, and missed objects are no longer asked for. Unlike TIDE's release, mending one kind never looks at
errors of another, and AP50 is COCO's: classes without objects do not count.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from core.metrics.detections import Detections
from core.metrics.hits import MIN_IOU, Hits, ImageOverlaps, Objects, hits, image_overlaps

GROUND = 0.1  # IoU up to which a detection overlaps nothing
KINDS = ("cls", "loc", "both", "dupe", "bkg", "miss")
RECALLS = np.linspace(0, 1, 101)  # at which COCO reads precision


@dataclass(frozen=True)
class Errors:
    """The kind of each detection, as a place in KINDS or -1 where it is no error, and the object that it was about."""

    hits: Hits
    kind: Int[ndarray, " n"]
    about: Int[ndarray, " n"]  # row of the object that an error of class or place would have found; -1
    missed: Bool[ndarray, " t"]

    def count(self, kind: str) -> int:
        return int(self.missed.sum() if kind == "miss" else (self.kind == KINDS.index(kind)).sum())


def errors(found: Detections, truth: Objects) -> Errors:
    """Every wrong detection has one kind; every object is found, or missed, or what an error of class or place is about."""
    found_by = hits(found, truth)
    kind, about = np.full(len(found), -1), np.full(len(found), -1)
    for m in image_overlaps(found, truth):
        kind[m.detections], about[m.detections] = judged(m, found_by)
    kind[~found_by.wrong] = -1
    about[(kind != KINDS.index("cls")) & (kind != KINDS.index("loc"))] = -1
    spoken_of = np.zeros(len(truth), dtype=bool)
    spoken_of[about[about >= 0]] = True
    return Errors(found_by, kind, about, (found_by.detection < 0) & ~spoken_of & ~truth.crowd)


def judged(m: ImageOverlaps, h: Hits) -> tuple[Int[ndarray, " n"], Int[ndarray, " n"]]:
    """The kind of each detection of an image were it wrong, and the object that it overlaps most."""
    if not len(m.objects):
        return np.full(len(m.detections), KINDS.index("bkg")), np.full(len(m.detections), -1)
    right, other, taken = m.iou * m.same, m.iou * ~m.same, m.iou * m.same * (h.detection[m.objects] >= 0)
    near = right.max(1)
    cases = {
        "loc": (GROUND <= near) & (near < MIN_IOU),
        "cls": other.max(1) >= MIN_IOU,
        "dupe": taken.max(1) >= MIN_IOU,
        "bkg": m.iou.max(1) <= GROUND,
    }
    kind = np.select(list(cases.values()), [KINDS.index(k) for k in cases], KINDS.index("both"))
    return kind, m.objects[np.where(cases["loc"], right.argmax(1), other.argmax(1))]


def costs(found: Detections, truth: Objects) -> dict[str, float]:
    """AP50 under "ap50", and under each of KINDS what it would gain without these errors; all 0 .. 1. NaN: no objects."""
    e = errors(found, truth)
    label, score = found.labels.numpy(), found.scores.numpy()
    asked = truth.label[~truth.crowd]
    base = ap50(label, score, e.hits.right, ~e.hits.ignored, asked)
    gains = {kind: mended(kind, e, truth, label, score) - base for kind in KINDS}
    return {"ap50": base} | {kind: max(0.0, gain) if gain == gain else gain for kind, gain in gains.items()}


def mended(kind: str, e: Errors, truth: Objects, label: Int[ndarray, " n"], score: Float[ndarray, " n"]) -> float:
    """AP50 without the errors of one kind."""
    if kind == "miss":
        return ap50(label, score, e.hits.right, ~e.hits.ignored, truth.label[~truth.crowd & ~e.missed])
    guilty = e.kind == KINDS.index(kind)
    saved = surest(e, guilty, score)
    label = np.where(saved, truth.label[e.about], label) if len(truth) else label
    return ap50(label, score, e.hits.right | saved, ~e.hits.ignored & (~guilty | saved), truth.label[~truth.crowd])


def surest(e: Errors, guilty: Bool[ndarray, " n"], score: Float[ndarray, " n"]) -> Bool[ndarray, " n"]:
    """Of the errors about each object that nobody found, the one of the highest score."""
    rows = np.flatnonzero(guilty & (e.about >= 0))
    rows = rows[e.hits.detection[e.about[rows]] < 0]
    rows = rows[np.argsort(-score[rows], kind="stable")]
    _, first = np.unique(e.about[rows], return_index=True)
    saved = np.zeros(len(guilty), dtype=bool)
    saved[rows[first]] = True
    return saved


def ap50(
    label: Int[ndarray, " n"],
    score: Float[ndarray, " n"],
    right: Bool[ndarray, " n"],
    counts: Bool[ndarray, " n"],
    asked: Int[ndarray, " t"],
) -> float:
    """Mean over the classes that are asked for of the area under precision over recall, as COCO takes it."""
    classes, wanted = np.unique(asked, return_counts=True)
    order = np.argsort(-score, kind="stable")
    order = order[counts[order]]
    areas = [area(right[order[label[order] == c]], n) for c, n in zip(classes, wanted.tolist())]
    return float(np.mean(areas)) if areas else float("nan")


def area(right: Bool[ndarray, " n"], wanted: int) -> float:
    """Of one class, with its detections in order of score."""
    if not len(right):
        return 0.0
    true = right.cumsum()
    precision = true / np.arange(1, len(true) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(true / wanted, RECALLS, side="left")
    return float(np.append(precision, 0.0)[at].mean())
