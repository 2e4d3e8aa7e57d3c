"""Measures a query table: the numbers that figures show, as plain data, which a summary carries under "measured".

images                  number of validation images
student, teacher        of each detector (the teacher's is null in a run without one):
    scores              COCO's six metrics, and `per_class`
    instability         `stages`: IS of each decoder layer after the first, compared with the layer before
                        (core/metrics/instability.py); `moved`: share of objects matched with another query than there
    looks               statistics of query masks in the last layer: `correlation` of q* with the mass inside true boxes
                        (Spearman's, mean over the `images` with objects) and `error` (its standard error); in ten bins of q*
                        the means `inside` and `entropy`, and `count` of queries; `area`: what an even mask has inside
    errors              cost of each of TIDE's error types in AP50, and `counts`
    calibration         detections in ten bins of score, and `error`: the expected calibration error
    crowding            COCO's metrics over images with few to many objects
agreement               of student and teacher in each of the student's layers: class, iou, object; null without a teacher
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from numpy import ndarray

from analysis.query_table.read import QueryTable
from core.losses.features import quality
from core.metrics import tide
from core.metrics.calibration import calibration
from core.metrics.coco_ap import ap_by_object_count, average_precision
from core.metrics.hits import hits
from core.metrics.instability import instability
from core.metrics.query_masks import rank_correlation
from core.metrics.query_quality import GAMMA

BINS = 10  # of quality q*, 0 to 1


def measure_table(table: QueryTable) -> dict:
    """All measurements of a query table, ready for JSON."""
    teacher = measure_detector(table, "teacher") if table.has_teacher else None
    agrees = agreement(table) if table.has_teacher else None
    student = measure_detector(table, "student")
    return json_values({"images": table.about["images"], "student": student, "teacher": teacher, "agreement": agrees})


def measure_detector(table: QueryTable, side: str) -> dict:
    """The measurements of the "student" or the "teacher"."""
    detections = table.detections(side)
    hit = hits(detections, table.objects)
    errors = tide.errors(detections, table.objects)
    by_count = ap_by_object_count(table.truth, [detections], table.categories)
    counted = ~hit.ignored
    return {
        "scores": average_precision(table.truth, [detections], table.categories),
        "instability": layer_instability(table, side),
        "looks": mask_quality(table, side),
        "errors": tide.delta_ap(detections, table.objects)
        | {"counts": {kind: errors.count(kind) for kind in tide.KINDS}},
        "calibration": asdict(calibration(detections.scores[counted].numpy(), hit.right[counted])),
        "crowding": {name: without_classes(scores) for name, scores in by_count.items()},
    }


def without_classes(scores: dict) -> dict:
    """Scores without the AP of each class."""
    return {key: value for key, value in scores.items() if key != "per_class"}


def layer_instability(table: QueryTable, side: str) -> dict[str, Float[ndarray, " l-1"]]:
    """IS of each layer after the first, and the share of objects matched with another query than in the layer before."""
    layers, images = table.layers(side), 0
    total, changed, objects = (np.zeros(layers - 1) for _ in range(3))
    for part in table.parts(["image", "object"], side=side):
        v = by_layer(part["object"], part["image"].nunique(), layers)
        images += v.shape[1]
        total += instability(v[1:], v[:-1]) * v.shape[1]
        unchanged = ((v[1:] == v[:-1]) & (v[1:] >= 0)).sum((1, 2))
        objects += (v[1:] >= 0).sum((1, 2))
        changed += (v[1:] >= 0).sum((1, 2)) - unchanged
    return {"stages": total / images, "moved": changed / np.maximum(objects, 1)}


def by_layer(column: pd.Series, images: int, layers: int) -> Shaped[ndarray, "l b q"]:
    """A column of one detector's rows by layer, image and query; the rows of a table are sorted by image, layer and query."""
    return column.to_numpy().reshape(images, layers, -1).transpose(1, 0, 2)


def mask_quality(table: QueryTable, side: str) -> dict:
    """Statistics of the masks in the last layer by the queries' quality q*: "looks" in the module's docstring."""
    last = table.layers(side) - 1
    rows = table.rows(["image", "score", "overlap", "inside", "entropy", "area"], side=side, layer=last)
    rows = rows[rows["area"] > 0]
    q_star = quality(rows["score"], rows["overlap"], GAMMA)
    images = rows["image"].nunique()
    q, inside = (x.to_numpy().reshape(images, -1) for x in (q_star, rows["inside"]))
    correlations = rank_correlation(q, inside)
    correlations = correlations[~np.isnan(correlations)]
    count = len(correlations)
    bins = np.minimum((q_star * BINS).astype(int), BINS - 1)
    means = rows.groupby(bins)[["inside", "entropy"]].mean().reindex(range(BINS))
    return {
        "images": count,
        "correlation": correlations.mean() if count else np.nan,
        "error": correlations.std(ddof=1) / np.sqrt(count) if count > 1 else np.nan,
        "area": rows.groupby("image")["area"].first().mean(),
        "inside": means["inside"],
        "entropy": means["entropy"],
        "count": np.bincount(bins, minlength=BINS),
    }


def agreement(table: QueryTable) -> dict[str, pd.Series]:
    """Agreement of student and teacher queries, mean over the pairs of each of the student's layers."""
    rows = table.rows(["layer", "partner", "same_class", "same_object", "partner_overlap"], side="student")
    means = rows[rows["partner"] >= 0].drop(columns="partner").groupby("layer").mean()
    means = means.reindex(range(table.layers("student")))
    return {"class": means["same_class"], "iou": means["partner_overlap"], "object": means["same_object"]}


def json_values(value: Any) -> Any:
    """A nested value with arrays and series as lists, NumPy numbers as Python's, and NaN as None."""
    if isinstance(value, dict):
        return {str(k): json_values(x) for k, x in value.items()}
    if isinstance(value, (np.ndarray, pd.Series)):
        value = value.tolist()
    if isinstance(value, list):
        return [json_values(x) for x in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and value != value else value
