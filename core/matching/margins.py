"""How firmly a matched pair is held: what the optimum would cost without it."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import linear_sum_assignment


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
    other = optimum_without(cost, query, target)
    if other is None:
        return np.inf, -1
    heir = next((int(a) for a, b in zip(*other) if b == target), -1)
    return max(float(cost[other].sum()) - best, 0.0), heir


def optimum_without(cost: Float[ndarray, "q t"], query: int, target: int) -> tuple[ndarray, ndarray] | None:
    """The optimum without this pair; None where there is none."""
    other = cost.copy()
    other[query, target] = np.inf
    try:
        return linear_sum_assignment(other)
    except ValueError:
        return None
