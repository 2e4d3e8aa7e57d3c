"""Numbers of assignments against hand-worked cases and brute force."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from core.matching.margins import margins
from core.metrics.instability import between_layers, instability, objects_by_query, reassigned_share
from core.types import Assignment


def v(*queries) -> np.ndarray:
    """V of one image, whose queries are matched with these objects."""
    return np.array([queries])


def test_instability_by_hand():
    same, before = v(0, -1, 1, -1), v(0, -1, 1, -1)
    assert instability(same, before) == 0
    assert instability(v(-1, 0, 1, -1), before) == 2, "an object that goes to another query counts 2"
    assert instability(v(0, 2, 1, -1), before) == 1, "a query that is matched besides counts 1"
    assert instability(v(1, -1, 0, -1), before) == 2, "two that change places"
    two = np.array([[0, -1, 1], [0, 1, -1]]), np.array([[0, -1, 1], [1, 0, -1]])
    assert instability(*two) == 1, "on average over images"


def test_layers_are_compared_one_after_another():
    layers = np.stack([v(0, -1, 1), v(0, -1, 1), v(-1, 0, 1), v(1, 0, -1)])
    assert between_layers(layers).tolist() == [0, 2, 2]


def test_the_reassigned_share_is_a_share_of_objects():
    before = np.array([[0, -1, 1, 2], [-1, -1, 0, -1]])
    now = np.array([[0, 1, -1, 2], [0, -1, -1, -1]])
    assert reassigned_share(now, before, np.array([3, 1])) == pytest.approx(2 / 4)
    assert (
        reassigned_share(now, now, np.array([3, 1])) == 0
        and reassigned_share(now[:0], before[:0], np.zeros(0, int)) == 1
    )


def test_the_object_of_each_query():
    a = Assignment(*(torch.tensor(x) for x in ([0, 1, 1], [0, 0, 1], [2, 0, 1], [5, 5, 6])))
    found = objects_by_query(a.index, a.target, (2, 2, 3))
    assert found.tolist() == [[[-1, -1, 5], [-1, -1, -1]], [[5, -1, -1], [-1, 6, -1]]]


def totals(cost: np.ndarray):
    """Every assignment of a small table, as a set of pairs, with its total."""
    q, t = cost.shape
    if q >= t:
        sets = [list(zip(rows, range(t))) for rows in permutations(range(q), t)]
    else:
        sets = [list(zip(range(q), columns)) for columns in permutations(range(t), q)]
    return [(pairs, sum(cost[pair] for pair in pairs)) for pairs in sets]


@pytest.mark.parametrize("seed", range(60))
def test_margins_are_those_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    cost = rng.normal(size=rng.integers(1, 6, 2))
    query, target = linear_sum_assignment(cost)
    found, runners = margins(cost, query, target)
    best = min(total for _, total in totals(cost))
    for q, t, margin, runner in zip(query, target, found, runners):
        others = [(total, pairs) for pairs, total in totals(cost) if (q, t) not in pairs]
        if not others:
            assert margin == np.inf and runner == -1
            continue
        total, pairs = min(others)
        assert margin == pytest.approx(total - best) and margin >= 0
        assert runner == next((a for a, b in pairs if b == t), -1)
