"""Margins of matched pairs: by how much the optimum's total cost increases if a pair is forbidden."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import linear_sum_assignment


def margins(
    cost: Float[ndarray, "q t"], query: Int[ndarray, " m"], target: Int[ndarray, " m"]
) -> tuple[Float[ndarray, " m"], Int[ndarray, " m"]]:
    """The margin and the runner-up of each pair (query, target) of an optimal assignment.

    The margin is the least total cost without the pair, less the least total cost: 0 or more, and infinite if there is no
    other assignment. The runner-up is the query that takes the object if the pair is forbidden, -1 if none does.
    """
    best = float(cost[query, target].sum())
    pairs = [margin(cost, best, int(q), int(t)) for q, t in zip(query, target)]
    return np.array([m for m, _ in pairs], dtype=np.float64), np.array([q for _, q in pairs], dtype=np.int64)


def margin(cost: Float[ndarray, "q t"], best: float, query: int, target: int) -> tuple[float, int]:
    """The margin and the runner-up of one pair, as in `margins`; `best` is the least total cost."""
    other = optimum_without(cost, query, target)
    if other is None:
        return np.inf, -1
    runner_up = next((int(a) for a, b in zip(*other) if b == target), -1)
    return max(float(cost[other].sum()) - best, 0.0), runner_up


def optimum_without(cost: Float[ndarray, "q t"], query: int, target: int) -> tuple[ndarray, ndarray] | None:
    """Queries and targets of the best assignment that does not contain this pair; None if there is none."""
    other = cost.copy()
    other[query, target] = np.inf
    try:
        return linear_sum_assignment(other)
    except ValueError:
        return None
