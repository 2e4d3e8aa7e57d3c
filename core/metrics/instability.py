"""Numbers from assignments and traces; nothing is drawn here."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from core.types import Assignment


def answered(a: Assignment, *, layers: int, images: int, queries: int) -> Int[ndarray, "l b q"]:
    """V: the object that each query answers for, -1 for none."""
    found = np.full((layers, images, queries), -1)
    found[tuple(x.cpu().numpy() for x in a.index)] = a.target.cpu().numpy()
    return found


def instability(now: Int[ndarray, "*l b q"], before: Int[ndarray, "*l b q"]) -> Float[ndarray, "*l"]:
    """IS: how many queries of an image answer for something else than before, on average over images.

    An object that goes from one query to another counts 2. DETRDistill (arXiv 2211.10156, Fig. 7) between stages, DN-DETR
    (arXiv 2203.01305) between epochs.
    """
    return np.asarray((now != before).sum(-1).mean(-1))


def between_stages(v: Int[ndarray, "l b q"]) -> Float[ndarray, " l-1"]:
    """IS of each decoder layer after the first, against the one before."""
    return instability(v[1:], v[:-1])


def moved(now: Int[ndarray, "b q"], before: Int[ndarray, "b q"], objects: Int[ndarray, " b"]) -> Float[ndarray, ""]:
    """The share of objects whose query is another than before, where each object has one at both times."""
    kept = ((now == before) & (now >= 0)).sum()
    return np.asarray(1 - kept / max(int(objects.sum()), 1))
