"""A collected table as the numbers that figures show: plain data, as a summary may carry it under "measured".

images                  how many were looked at
student, teacher        of each detector (the teacher's null without one):
    scores              COCO's six numbers, and `per_class`
    instability         IS of each layer after the first against the one before (core/metrics/instability.py), and `moved`, the share
                        of objects that changed their query
    looks               q* against mass inside boxes, in the last layer: `correlation` (Spearman's, mean over the
                        `images` with objects), `error` (its standard error), and in ten bins of q* `inside`, `entropy`
                        and `count`; `area` is what a mask that is the same everywhere would have inside
    errors              what each of TIDE's kinds costs in AP50, and `counts`
    calibration         by score in ten bins, and `error`
    crowding            COCO's numbers over images with few to many objects
agreement               of student and teacher in each of the student's layers: class, iou, object; null without a teacher
"""

from dataclasses import asdict

import numpy as np
import pandas as pd

from analysis.query_table.read import Collected
from core.losses.features import quality
from core.metrics import tide
from core.metrics.calibration import calibration
from core.metrics.coco_ap import ap_by_object_count, average_precision
from core.metrics.hits import hits
from core.metrics.instability import instability
from core.metrics.query_masks import rank_correlation
from core.metrics.query_quality import GAMMA

BINS = 10


def measured(table: Collected) -> dict:
    sides = {"student": side(table, "student"), "teacher": side(table, "teacher") if table.taught else None}
    return plain({"images": table.about["images"], **sides, "agreement": agreement(table) if table.taught else None})


def side(table: Collected, name: str) -> dict:
    found = table.detections(name)
    right = hits(found, table.objects)
    e = tide.errors(found, table.objects)
    return {
        "scores": average_precision(table.truth, [found], table.categories),
        "instability": stability(table, name),
        "looks": looks(table, name),
        "errors": tide.costs(found, table.objects) | {"counts": {kind: e.count(kind) for kind in tide.KINDS}},
        "calibration": asdict(calibration(found.scores[~right.ignored].numpy(), right.right[~right.ignored])),
        "crowding": {
            name: short(told) for name, told in ap_by_object_count(table.truth, [found], table.categories).items()
        },
    }


def short(scores: dict) -> dict:
    return {key: value for key, value in scores.items() if key != "per_class"}


def stability(table: Collected, name: str) -> dict[str, list[float]]:
    """IS of each layer after the first, and the share of objects that have another query than in the layer before."""
    layers, images = table.layers(name), 0
    total, changed, objects = (np.zeros(layers - 1) for _ in range(3))
    for part in table.parts(["image", "object"], side=name):
        v = by_layer(part["object"], part["image"].nunique(), layers)
        images += v.shape[1]
        total += instability(v[1:], v[:-1]) * v.shape[1]
        kept = ((v[1:] == v[:-1]) & (v[1:] >= 0)).sum((1, 2))
        objects += (v[1:] >= 0).sum((1, 2))
        changed += (v[1:] >= 0).sum((1, 2)) - kept
    return {"stages": total / images, "moved": changed / np.maximum(objects, 1)}


def by_layer(column: pd.Series, images: int, layers: int) -> np.ndarray:
    """Rows come image by image, then layer, then query."""
    return column.to_numpy().reshape(images, layers, -1).transpose(1, 0, 2)


def looks(table: Collected, name: str) -> dict:
    last = table.layers(name) - 1
    rows = table.rows(["image", "score", "overlap", "inside", "entropy", "area"], side=name, layer=last)
    rows = rows[rows["area"] > 0]
    q_star = quality(rows["score"], rows["overlap"], GAMMA)
    images = rows["image"].nunique()
    q, inside = (x.to_numpy().reshape(images, -1) for x in (q_star, rows["inside"]))
    each = rank_correlation(q, inside)
    each = each[~np.isnan(each)]
    place = np.minimum((q_star * BINS).astype(int), BINS - 1)
    means = rows.groupby(place)[["inside", "entropy"]].mean().reindex(range(BINS))
    return {
        "images": len(each),
        "correlation": each.mean() if len(each) else np.nan,
        "error": each.std(ddof=1) / np.sqrt(len(each)) if len(each) > 1 else np.nan,
        "area": rows.groupby("image")["area"].first().mean(),
        "inside": means["inside"],
        "entropy": means["entropy"],
        "count": np.bincount(place, minlength=BINS),
    }


def agreement(table: Collected) -> dict[str, list[float]]:
    """The mean over the pairs of each of the student's layers."""
    rows = table.rows(["layer", "partner", "same_class", "same_object", "partner_overlap"], side="student")
    means = rows[rows["partner"] >= 0].drop(columns="partner").groupby("layer").mean()
    means = means.reindex(range(table.layers("student")))
    return {"class": means["same_class"], "iou": means["partner_overlap"], "object": means["same_object"]}


def plain(value):
    """Numbers as JSON has them; NaN is null."""
    if isinstance(value, dict):
        return {str(k): plain(x) for k, x in value.items()}
    if isinstance(value, (np.ndarray, pd.Series)):
        value = value.tolist()
    if isinstance(value, list):
        return [plain(x) for x in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and value != value else value
