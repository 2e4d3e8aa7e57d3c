import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from core.matching import hungarian
from core.matching.costs import Matching, box_costs, weighted_sum
from core.matching.hungarian import column_potentials, optimal_assignment
from tests.helpers import tiny

SIDE = hungarian.LARGE + 11


def boxes(seed: int, spread: float) -> np.ndarray:
    """What the box terms ask for boxes that gather round twelve objects."""
    draw = torch.Generator().manual_seed(seed)
    centres = tiny.boxes((12,), draw)[torch.randint(12, (2, SIDE), generator=draw)]
    mine, theirs = centres + spread * torch.randn(2, SIDE, 4, generator=draw)
    return weighted_sum(box_costs(mine.abs(), theirs.abs(), Matching()), Matching().weights).numpy()


def families() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    uniform = rng.random((SIDE, SIDE), dtype=np.float32)
    steep = np.exp(12 * rng.normal(size=(SIDE, SIDE))).astype(np.float32)
    block = np.arange(SIDE) // 20
    own = np.where(np.eye(SIDE)[rng.permutation(SIDE)] > 0, 0, 1 + uniform).astype(np.float32)
    return {
        "wide boxes": boxes(0, 0.1),
        "tight boxes": boxes(1, 0.003),
        "uniform": uniform,
        "uniform, huge": uniform * np.float32(1e30),
        "uniform, minute": uniform * np.float32(1e-35),
        "negative": -uniform,
        "ties": rng.integers(0, 3, (SIDE, SIDE)).astype(np.float32),
        "all alike": np.full((SIDE, SIDE), 7, dtype=np.float32),
        "rows alike": np.tile(uniform[:1], (SIDE, 1)),
        "columns alike": np.tile(uniform[:, :1], (1, SIDE)),
        "one column of high cost": np.where(np.arange(SIDE) == 3, 1e6, uniform).astype(np.float32),
        "steep": steep,
        "each its own": own,
        "high cost outside of blocks": np.where(block[:, None] == block, uniform, 1e15).astype(np.float32),
    }


@pytest.mark.parametrize("name", families())
def test_large_problems_cost_what_scipys_do(name):
    cost = families()[name]
    row, column = optimal_assignment(cost)
    exact = cost.astype(np.float64)
    assert sorted(row) == sorted(column) == list(range(SIDE))
    assert exact[row, column].sum() == pytest.approx(exact[linear_sum_assignment(exact)].sum(), rel=1e-12)


def test_any_potentials_give_the_optimum(monkeypatch):
    """They are a matter of time alone."""
    rng = np.random.default_rng(0)
    for cost in (boxes(2, 0.05), boxes(3, 0.01)):
        least = cost.astype(np.float64)[linear_sum_assignment(cost)].sum()
        for scale in (0, 1, 100):
            monkeypatch.setattr(hungarian, "column_potentials", lambda c, scale=scale: scale * rng.normal(size=len(c)))
            assert cost.astype(np.float64)[optimal_assignment(cost)].sum() == pytest.approx(least, rel=1e-12)


def shortfall(cost: np.ndarray, of: np.ndarray) -> float:
    """By how much these potentials fall short of proving the optimum: they bound it from below, whatever they are."""
    cost, of = cost.astype(np.float64), of.astype(np.float64)
    return cost[linear_sum_assignment(cost)].sum() - (cost - of).min(1).sum() - of.sum()


@pytest.mark.parametrize("spread", [0.1, 0.03, 0.01])
def test_potentials_come_near_to_a_proof_of_the_optimum(spread):
    """Nearer than what a column costs at the least, with which the usual solvers begin."""
    cost = boxes(4, spread)
    least = (cost - cost.min(1, keepdims=True)).min(0)
    assert 0 <= shortfall(cost, column_potentials(cost)) < 0.4 * shortfall(cost, least)


def test_potentials_are_finite_whatever_the_costs():
    for cost in families().values():
        assert np.isfinite(column_potentials(cost)).all()


def test_problems_that_are_small_or_not_square_are_left_to_the_solver(monkeypatch):
    monkeypatch.setattr(hungarian, "column_potentials", None)
    rng = np.random.default_rng(0)
    for shape in ((SIDE, SIDE - 1), (SIDE - 1, SIDE), (20, 20), (0, 0), (0, 5), (300, 7)):
        cost = rng.random(shape, dtype=np.float32)
        assert np.array_equal(optimal_assignment(cost), linear_sum_assignment(cost))
