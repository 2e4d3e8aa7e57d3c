"""Numbers from assignments and traces; nothing is drawn here."""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from core.types import Trace


def objects_by_query(
    index: tuple[Int[Tensor, " m"], ...], objects: Int[Tensor, " m"], shape: tuple[int, ...]
) -> Int[Tensor, "..."]:
    """V of DETRDistill: the object with which each query is matched, or -1. `index` are the places of the matched queries."""
    return torch.full(shape, -1, dtype=objects.dtype, device=objects.device).index_put(index, objects)


def assigned_objects(trace: Trace) -> Int[Tensor, "l b q"]:
    """The object of the batch with which each of a detector's own queries is matched, or -1."""
    return objects_by_query(trace.assignment.index, trace.assignment.target, tuple(trace.own.logits.shape[:3]))


def instability(now: Int[ndarray, "*l b q"], before: Int[ndarray, "*l b q"]) -> Float[ndarray, "*l"]:
    """IS: how many queries of an image answer for something else than before, on average over images.

    An object that goes from one query to another counts 2. DETRDistill (arXiv 2211.10156, Fig. 7) between stages, DN-DETR
    (arXiv 2203.01305) between epochs.
    """
    return np.asarray((now != before).sum(-1).mean(-1))


def between_layers(v: Int[ndarray, "l b q"]) -> Float[ndarray, " l-1"]:
    """IS of each decoder layer after the first, against the one before."""
    return instability(v[1:], v[:-1])


def reassigned_share(
    now: Int[ndarray, "b q"], before: Int[ndarray, "b q"], objects: Int[ndarray, " b"]
) -> Float[ndarray, ""]:
    """The share of objects whose query is another than before, where each object has one at both times."""
    kept = ((now == before) & (now >= 0)).sum()
    return np.asarray(1 - kept / max(int(objects.sum()), 1))
