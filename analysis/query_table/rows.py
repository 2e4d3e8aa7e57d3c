"""The rows of a query table: what one query of one detector predicts in one decoder layer of one image.

image                   id of the image
side, layer, query      "student" or "teacher"; the layer from 0
label, score            class of the highest score, and that score
x0, y0, x1, y1          box, in pixels of the source image
object                  index, within its image, of the object with which the query is matched; -1: none
object_score, object_overlap    score of that object's class, IoU with its box; 0 without an object
overlap                 highest IoU with any object of the image
partner, partner_layer  of a student query, the teacher query that is matched with an object and with which the loss `logits`
                        compares it, and the teacher's layer; -1: none
same_class, same_object, partner_overlap    whether both have the same class and the same object, and the IoU of their boxes
inside, entropy         statistics of the query's mask (core/metrics/query_masks.py) in the last layer; NaN in other layers
area                    share of the image's places that lie in objects: what `inside` of an even mask would be
classes, scores         the query's entries among the 100 best detections of the image in that layer
"""

import numpy as np
import pyarrow as pa
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from torch import Tensor

from core.boxes import corners
from core.metrics.agreement import agreement
from core.metrics.detections import Detections, select
from core.metrics.instability import assigned_objects
from core.metrics.query_masks import mask_statistics
from core.metrics.query_quality import quality_parts
from core.types import DistillTrace, Images, Targets, Trace

TYPES = {  # of the columns; all others are float32
    "image": pa.int64(),
    "side": pa.dictionary(pa.int8(), pa.string()),
    "layer": pa.int8(),
    "query": pa.int16(),
    "label": pa.int16(),
    "object": pa.int32(),
    "partner": pa.int16(),
    "partner_layer": pa.int8(),
    "same_class": pa.bool_(),
    "same_object": pa.bool_(),
    "classes": pa.list_(pa.int16()),
    "scores": pa.list_(pa.float32()),
}


def table_of_batch(trace: DistillTrace, images: Images) -> pa.Table:
    """The rows of a batch, sorted by image, side, layer and query."""
    sides = {"student": trace.student} | ({"teacher": trace.teacher} if trace.teacher else {})
    columns = [columns_of(side, trace, images) for side in sides.values()]
    merged = {key: torch.cat([rearrange(c[key], "l b q -> b (l q)") for c in columns], 1) for key in columns[0]}
    arrays = {key: x.flatten().cpu().numpy() for key, x in merged.items()}
    table = {key: pa.array(x, TYPES.get(key, pa.float32())) for key, x in arrays.items()}
    side = np.repeat(np.arange(len(sides), dtype=np.int8), [c["layer"][:, 0].numel() for c in columns])
    codes = pa.array(np.tile(side, len(images.ids)))
    table["side"] = pa.DictionaryArray.from_arrays(codes, pa.array(list(sides))).cast(TYPES["side"])
    return pa.table(table | detection_columns(list(sides.values()), images))


def columns_of(side: Trace, trace: DistillTrace, images: Images) -> dict[str, Shaped[Tensor, "l b q"]]:
    """Every column of one detector but `side`, `classes` and `scores`."""
    p, targets = side.own, trace.targets
    score, label = p.logits.float().sigmoid().max(-1)
    indices = torch.arange(max(score.shape), device=score.device)
    layers, batch, queries = score.shape
    scale = rearrange(images.original.flip(1).to(p.boxes), "b xy -> 1 b 1 xy").repeat(1, 1, 1, 2)
    q = quality_parts(side, targets)
    return {
        "image": repeat(images.ids, "b -> l b q", l=layers, q=queries),
        "layer": repeat(indices[:layers], "l -> l b q", b=batch, q=queries),
        "query": repeat(indices[:queries], "q -> l b q", l=layers, b=batch),
        "label": label,
        "score": score,
        **dict(zip(("x0", "y0", "x1", "y1"), (corners(p.boxes.float()) * scale).unbind(-1))),
        "object": index_in_image(assigned_objects(side), targets),
        "object_score": q.assigned_score,
        "object_overlap": q.assigned_overlap,
        "overlap": q.overlap,
        **partner_columns(side, trace),
        **mask_columns(side, targets),
    }


def index_in_image(objects: Int[Tensor, "l b q"], targets: Targets) -> Int[Tensor, "l b q"]:
    """Indices of objects in the batch as indices within their image; -1 stays -1."""
    first = torch.tensor([0, *targets.counts[:-1]]).cumsum(0).to(objects.device)
    return torch.where(objects < 0, objects, objects - rearrange(first, "b -> 1 b 1"))


def partner_columns(side: Trace, trace: DistillTrace) -> dict[str, Shaped[Tensor, "l b q"]]:
    """The columns `partner` to `partner_overlap`; teacher queries, and runs without the loss `logits`, have no partners."""
    like = side.own.logits[..., 0]
    blank = {
        "partner": -1,
        "partner_layer": -1,
        "same_class": False,
        "same_object": False,
        "partner_overlap": torch.nan,
    }
    columns = {key: torch.full_like(like, x, dtype=torch.tensor(x).dtype) for key, x in blank.items()}
    if side is not trace.student or trace.teacher is None or "logits" not in trace.outcomes:
        return columns
    for a in trace.outcomes["logits"].pairs.values():
        agrees = agreement(trace.student, trace.teacher, a)
        layer, _, query = a.other
        values = (query, layer, agrees.same_class, agrees.same_object, agrees.overlap)
        columns = {key: x.index_put(a.index, value) for (key, x), value in zip(columns.items(), values)}
    return columns


def mask_columns(side: Trace, targets: Targets) -> dict[str, Float[Tensor, "l b q"]]:
    """The columns `inside`, `entropy` and `area`."""
    statistics, shape = mask_statistics(side, targets), side.own.logits.shape[:3]
    values = {"inside": statistics.inside, "entropy": statistics.entropy}
    blank = torch.full((shape[0] - 1, *shape[1:]), torch.nan, device=statistics.area.device)
    last = {key: torch.cat([blank, x[None]]) for key, x in values.items()}
    return last | {"area": repeat(statistics.area, "b -> l b q", l=shape[0], q=shape[2])}


def detection_columns(sides: list[Trace], images: Images) -> dict[str, pa.Array]:
    """The columns `classes` and `scores`: the best detections of each image and layer, at the rows of their queries."""
    sizes = [side.own.logits[:, 0, :, 0].numel() for side in sides]  # rows of one image, by detector
    row, detections = [], []
    for first, side in zip(np.cumsum([0, *sizes]), sides):
        for layer in range(len(side.own.logits)):
            best = select(side.own, images, layer=layer)
            image = np.arange(len(best)) // (len(best) // len(images.ids))
            queries = side.own.logits.shape[2]
            row.append(image * sum(sizes) + first + layer * queries + best.queries.cpu().numpy())
            detections.append(best)
    return list_columns(np.concatenate(row), detections, count=sum(sizes) * len(images.ids))


def list_columns(row: Int[ndarray, " n"], detections: list[Detections], *, count: int) -> dict[str, pa.Array]:
    """Lists of classes and of scores for `count` rows; `row` is the row of each detection."""
    order = np.argsort(row, kind="stable")
    ends = np.cumsum(np.bincount(row, minlength=count))
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
    values = {"classes": [d.labels for d in detections], "scores": [d.scores for d in detections]}
    flat = {key: torch.cat(x).cpu().numpy()[order] for key, x in values.items()}
    return {key: pa.ListArray.from_arrays(offsets, pa.array(x, TYPES[key].value_type)) for key, x in flat.items()}
