"""Exact assignment on the host. The solver is scipy's; large square problems are made easy for it first."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

PRICED = 128  # rows and columns from which prices are worth their time
EASY = 0.8  # share of columns that are some row's first choice, from which they are not
SHARPNESS, OVERSHOOT, ROUNDS = 30.0, 1.7, 7  # of the prices: their quality decides how long it takes, never the answer
TRUSTED = 1e6  # times what columns cost at the least, up to which prices leave the answer exact to 1e-9 of the total

Solution = tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]


def optimal_assignment(cost: Float[np.ndarray, "q t"]) -> Solution:
    """(rows, columns) at the least total cost.

    Where all columns are assigned, a price taken off a column changes every total alike, so the optimum stays. With
    prices near those of the optimum, few rows want the same column, and the solver's paths are short.
    """
    if len(cost) < PRICED or cost.shape[0] != cost.shape[1]:
        return linear_sum_assignment(cost)
    reduced = cost.astype(np.float64)
    reduced -= column_potentials(cost)
    return linear_sum_assignment(reduced)


def column_potentials(cost: Float[np.ndarray, "n n"]) -> Float[np.ndarray, " n"]:
    """What columns cost in optimal transport with entropy, by over-relaxed scaling (Sinkhorn; Cuturi, NeurIPS 2013).

    By einsum: a BLAS would start threads of its own, and add up in an order that depends on their number.
    """
    gap = cost - cost.min(1, keepdims=True)
    least = gap.min(0)
    if np.count_nonzero(least == 0) > EASY * len(cost):
        return least
    gap -= least
    with np.errstate(all="ignore"):
        scale = np.float32(SHARPNESS) / gap[::8].mean()
        kernel = np.exp(np.multiply(gap, -scale, out=gap), out=gap)
        rows = columns = np.zeros_like(least)
        for _ in range(ROUNDS):
            rows = rows - OVERSHOOT * (rows + np.log(np.einsum("qt,t->q", kernel, np.exp(columns))))
            columns = columns - OVERSHOOT * (columns + np.log(np.einsum("qt,q->t", kernel, np.exp(rows))))
        found = columns / scale
        trusted = (
            np.abs(found).max() <= TRUSTED * least.mean()
        )  # not where they diverged, nor where costs are too steep
    return least + found if trusted else least
