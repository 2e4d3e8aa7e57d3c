"""The least score of a pseudo object that makes pseudo truth best on labelled images."""

import math

import numpy as np
from einops import repeat
from jaxtyping import Bool, Float
from numpy import ndarray

from core.boxes import clipped, corners
from core.metrics.coco_ap import note_on_ap
from core.metrics.detections import Detections
from core.metrics.hits import Objects, hits
from core.pseudo import USUAL_SCORE, PseudoObjects
from core.types import Images

MIN_OBJECTS = 20  # true objects from which a least score is chosen; with fewer it would be chance
CLASS_OBJECTS = 10  # true objects of a class from which the class gets a least score of its own


def as_detections(objects: PseudoObjects, images: Images) -> Detections:
    """Pseudo objects as detections in pixels of the source images, clipped to them."""
    scale = repeat(images.original.flip(1).to(objects.boxes), "b side -> b (two side)", two=2)
    boxes = corners(clipped(objects.boxes)) * scale[objects.image]
    return Detections(boxes, objects.scores, objects.labels, images.ids[objects.image], objects.query)


def best_scores(
    detections: Detections, truth: Objects, classes: int, *, per_class: bool = False
) -> tuple[tuple[float, ...], str]:
    """The least score of each class with which detections are the best pseudo truth (F1), and a text that says so.

    It is one for all classes, or with `per_class` another one for each class of at least CLASS_OBJECTS objects. With fewer than
    MIN_OBJECTS objects, or on a machine without faster-coco-eval, it is USUAL_SCORE. Callers add "of N images" to the text.
    """
    single = ~truth.crowd
    if single.sum() < MIN_OBJECTS:
        return (USUAL_SCORE,) * classes, f"{USUAL_SCORE}, since only {int(single.sum())} labelled objects could tell"
    if note_on_ap():
        missing = "faster-coco-eval is not installed, which would find the best on the labelled objects"
        return (USUAL_SCORE,) * classes, f"{USUAL_SCORE}, since {missing}"
    result = hits(detections, truth)
    scores, labels = detections.scores.numpy(), detections.labels.numpy()
    kept = ~result.ignored
    common, f1 = best_score(scores[kept], result.right[kept], int(single.sum()))
    text = f"{common:g}, the best on {int(single.sum())} labelled objects (F1 {f1:.2f})"
    least = [common] * classes
    for k in range(classes) if per_class else ():
        objects = int((single & (truth.label == k)).sum())
        own = kept & (labels == k)
        if objects >= CLASS_OBJECTS and own.any():
            least[k] = best_score(scores[own], result.right[own], objects)[0]
    if per_class:
        text += f"; by class {min(least):g} to {max(least):g}"
    return tuple(least), text


def best_score(scores: Float[ndarray, " n"], right: Bool[ndarray, " n"], true: int) -> tuple[float, float]:
    """The least score with the highest F1, in thousandths, and that F1; `true` is the number of true objects."""
    if not len(scores):
        return USUAL_SCORE, 0.0
    order = np.argsort(-scores, kind="stable")
    right_so_far = right[order].cumsum()
    f1 = 2 * right_so_far / (np.arange(1, len(order) + 1) + true)
    best = int(f1.argmax())
    return math.floor(1000 * float(scores[order][best])) / 1000, float(f1[best])
