"""Exact assignment on the host with scipy's solver; large square problems are first transformed so that it is faster."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

LARGE = 128  # rows and columns from which computing potentials saves time
EASY = 0.8  # share of columns that are some row's first choice, from which a problem is easy without potentials
SHARPNESS, OVERSHOOT, ROUNDS = 30.0, 1.7, 7  # of the potentials: they affect the solver's time, never the solution
TRUSTED = 1e6  # potentials up to this multiple of the columns' mean least cost keep the total exact to 1e-9

Solution = tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]


def optimal_assignment(cost: Float[np.ndarray, "q t"]) -> Solution:
    """Rows and columns of the assignment with the least total cost.

    If all columns are assigned, subtracting a number (its potential) from a column changes every total alike, so the
    optimum stays the same. With potentials near the optimal dual variables, few rows prefer the same column, and the
    solver's augmenting paths are short.
    """
    if len(cost) < LARGE or cost.shape[0] != cost.shape[1]:
        return linear_sum_assignment(cost)
    reduced = cost.astype(np.float64)
    reduced -= column_potentials(cost)
    return linear_sum_assignment(reduced)


def column_potentials(cost: Float[np.ndarray, "n n"]) -> Float[np.ndarray, " n"]:
    """Dual potentials of the columns in entropic optimal transport, by over-relaxed scaling (Sinkhorn; arXiv 1306.0895).

    Computed by einsum: a BLAS would start threads of its own, and add up in an order that depends on their number.
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
        potentials = columns / scale
        # Not trusted if the iteration diverged, or if the costs differ by too many orders of magnitude.
        trusted = np.abs(potentials).max() <= TRUSTED * least.mean()
    return least + potentials if trusted else least
