"""Numbers from assignments and traces; nothing is drawn here."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

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


def margins(
    cost: Float[ndarray, "q t"], query: Int[ndarray, " m"], target: Int[ndarray, " m"]
) -> tuple[Float[ndarray, " m"], Int[ndarray, " m"]]:
    """How dear each pair of an optimal assignment would be to give up, and the query that would then take the object.

    The margin is the least total cost without that pair, less the least total cost: 0 or more, infinite where there is no
    other assignment. The runner-up is -1 where nobody takes the object.
    """
    best = float(cost[query, target].sum())
    found = [margin(cost, best, int(q), int(t)) for q, t in zip(query, target)]
    return np.array([m for m, _ in found], dtype=np.float64), np.array([w for _, w in found], dtype=np.int64)


def margin(cost: Float[ndarray, "q t"], best: float, query: int, target: int) -> tuple[float, int]:
    """The same of one pair; `best` is the least total cost."""
    other = forbidding(cost, query, target)
    if other is None:
        return np.inf, -1
    heir = next((int(a) for a, b in zip(*other) if b == target), -1)
    return max(float(cost[other].sum()) - best, 0.0), heir


def forbidding(cost: Float[ndarray, "q t"], query: int, target: int) -> tuple[ndarray, ndarray] | None:
    """The optimum without this pair; None where there is none."""
    other = cost.copy()
    other[query, target] = np.inf
    try:
        return linear_sum_assignment(other)
    except ValueError:
        return None
