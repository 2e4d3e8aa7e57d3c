"""One trace as rows of the table that `collect` writes: a row is what one query of one detector says in one layer.

image                   id of the image
side, layer, query      "student" or "teacher"; the layer from 0
label, score            its best class
x0, y0, x1, y1          its box, in pixels of the source image
object                  the object that it answers for, counted within its image in the order of Targets; -1: none
object_score, object_overlap    score of that object's class, IoU with its box; 0 without one
overlap                 best IoU with any object of the image
partner, partner_layer  the teacher's query that answers for an object and that the loss `logits` compares it with; -1: none
inside, entropy         of its mask (core/metrics/query_masks.py), in the last layer; NaN elsewhere
area                    share of the places of the image that lie in objects: what `inside` of an even mask would be
classes, scores         its entries among the image's 100 best detections of that layer
"""

import numpy as np
import pyarrow as pa
import torch
from einops import rearrange, repeat
from torch import Tensor

from core.boxes import corners
from core.metrics.agreement import agreement
from core.metrics.detections import Detections, select
from core.metrics.instability import assigned_objects
from core.metrics.query_masks import mask_statistics
from core.metrics.query_quality import quality_parts
from core.types import DistillTrace, Images, Targets, Trace

TYPES = {
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


def record(trace: DistillTrace, images: Images) -> pa.Table:
    """The rows of a batch: image by image, then side, layer and query."""
    sides = {"student": trace.student} | ({"teacher": trace.teacher} if trace.teacher else {})
    columns = [columns_of(side, trace, images) for side in sides.values()]
    merged = {key: torch.cat([rearrange(c[key], "l b q -> b (l q)") for c in columns], 1) for key in columns[0]}
    arrays = {key: x.flatten().cpu().numpy() for key, x in merged.items()}
    table = {key: pa.array(x, TYPES.get(key, pa.float32())) for key, x in arrays.items()}
    names = np.repeat(np.arange(len(sides), dtype=np.int8), [c["layer"][:, 0].numel() for c in columns])
    codes = pa.array(np.tile(names, len(images.ids)))
    table["side"] = pa.DictionaryArray.from_arrays(codes, pa.array(list(sides))).cast(TYPES["side"])
    return pa.table(table | said(list(sides.values()), images))


def columns_of(side: Trace, trace: DistillTrace, images: Images) -> dict[str, Tensor]:
    """Every column but the side and the lists, as "l b q"."""
    p, targets = side.own, trace.targets
    score, label = p.logits.float().sigmoid().max(-1)
    every = torch.arange(max(score.shape), device=score.device)
    layers, batch, queries = score.shape
    scale = rearrange(images.original.flip(1).to(p.boxes), "b xy -> 1 b 1 xy").repeat(1, 1, 1, 2)
    q = quality_parts(side, targets)
    return {
        "image": repeat(images.ids, "b -> l b q", l=layers, q=queries),
        "layer": repeat(every[:layers], "l -> l b q", b=batch, q=queries),
        "query": repeat(every[:queries], "q -> l b q", l=layers, b=batch),
        "label": label,
        "score": score,
        **dict(zip(("x0", "y0", "x1", "y1"), (corners(p.boxes.float()) * scale).unbind(-1))),
        "object": in_image(assigned_objects(side), targets),
        "object_score": q.assigned_score,
        "object_overlap": q.assigned_overlap,
        "overlap": q.overlap,
        **partners(side, trace),
        **looks(side, targets),
    }


def in_image(objects: Tensor, targets: Targets) -> Tensor:
    """Objects of the batch, "l b q", counted within their image."""
    first = torch.tensor([0, *targets.counts[:-1]]).cumsum(0).to(objects.device)
    return torch.where(objects < 0, objects, objects - rearrange(first, "b -> 1 b 1"))


def partners(side: Trace, trace: DistillTrace) -> dict[str, Tensor]:
    """Of a student's query the teacher's, if the loss `logits` has met them; a teacher's has none."""
    blank = side.own.logits[..., 0]
    none = {"partner": -1, "partner_layer": -1, "same_class": False, "same_object": False, "partner_overlap": torch.nan}
    found = {key: torch.full_like(blank, x, dtype=torch.tensor(x).dtype) for key, x in none.items()}
    met = trace.outcomes["logits"].pairs.values() if side is trace.student and "logits" in trace.outcomes else ()
    for a in met:
        seen = agreement(trace.student, trace.teacher, a)
        values = (a.target, a.target_layer, seen.same_class, seen.same_object, seen.overlap)
        found = {key: x.index_put(a.index, value) for (key, x), value in zip(found.items(), values)}
    return found


def looks(side: Trace, targets: Targets) -> dict[str, Tensor]:
    seen, shape = mask_statistics(side, targets), side.own.logits.shape[:3]
    values = {"inside": seen.inside, "entropy": seen.entropy}
    blank = torch.full((shape[0] - 1, *shape[1:]), torch.nan, device=seen.area.device)
    last = {key: torch.cat([blank, x[None]]) for key, x in values.items()}
    return last | {"area": repeat(seen.area, "b -> l b q", l=shape[0], q=shape[2])}


def said(sides: list[Trace], images: Images) -> dict[str, pa.Array]:
    """`classes` and `scores`: the best detections of each image and layer, at the rows of their queries."""
    sizes = [side.own.logits[:, 0, :, 0].numel() for side in sides]  # rows of an image
    place, found = [], []
    for first, side in zip(np.cumsum([0, *sizes]), sides):
        for layer in range(len(side.own.logits)):
            best = select(side.own, images, layer=layer)
            image = np.arange(len(best)) // (len(best) // len(images.ids))
            queries = side.own.logits.shape[2]
            place.append(image * sum(sizes) + first + layer * queries + best.queries.cpu().numpy())
            found.append(best)
    return ragged(np.concatenate(place), found, rows=sum(sizes) * len(images.ids))


def ragged(place: np.ndarray, found: list[Detections], *, rows: int) -> dict[str, pa.Array]:
    """Lists of classes and of scores, one for each row."""
    order = np.argsort(place, kind="stable")
    ends = np.cumsum(np.bincount(place, minlength=rows))
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
    values = {"classes": [d.labels for d in found], "scores": [d.scores for d in found]}
    flat = {key: torch.cat(x).cpu().numpy()[order] for key, x in values.items()}
    return {key: pa.ListArray.from_arrays(offsets, pa.array(x, TYPES[key].value_type)) for key, x in flat.items()}
