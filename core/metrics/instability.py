"""Instability of the assignment: how many queries change their object from one layer or epoch to the next."""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from core.types import Trace


def objects_by_query(
    index: tuple[Int[Tensor, " m"], ...], objects: Int[Tensor, " m"], shape: tuple[int, ...]
) -> Int[Tensor, "..."]:
    """V of DETRDistill: the object with which each query is matched, or -1.

    `index` are the matched queries as indices into a tensor of `shape`, `objects` the object of each.
    """
    return torch.full(shape, -1, dtype=objects.dtype, device=objects.device).index_put(index, objects)


def assigned_objects(trace: Trace) -> Int[Tensor, "l b q"]:
    """The object of the batch (its row in Targets) with which each of a detector's own queries is matched, or -1."""
    return objects_by_query(trace.assignment.index, trace.assignment.target, tuple(trace.own.logits.shape[:3]))


def instability(now: Int[ndarray, "*l b q"], before: Int[ndarray, "*l b q"]) -> Float[ndarray, "*l"]:
    """IS: number of queries whose object differs from the one before, mean over images.

    An object that goes from one query to another counts 2. Used between layers by DETRDistill (arXiv 2211.10156, Fig. 7), between
    epochs by DN-DETR (arXiv 2203.01305).
    """
    return np.asarray((now != before).sum(-1).mean(-1))


def between_layers(v: Int[ndarray, "l b q"]) -> Float[ndarray, " l-1"]:
    """IS of each decoder layer after the first, compared with the layer before."""
    return instability(v[1:], v[:-1])


def reassigned_share(
    now: Int[ndarray, "b q"], before: Int[ndarray, "b q"], objects: Int[ndarray, " b"]
) -> Float[ndarray, ""]:
    """Share of the objects whose query differs from the one before; `objects` is the number of objects of each image.

    Every object must have a query at both times.
    """
    unchanged = ((now == before) & (now >= 0)).sum()
    return np.asarray(1 - unchanged / max(int(objects.sum()), 1))
