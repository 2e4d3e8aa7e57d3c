import math
from dataclasses import replace
from itertools import permutations
from threading import get_ident

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from core.matching import costs as costs_module
from core.matching import solving
from core.matching import threads as threads_module
from core.matching.costs import Matching, costs, focal_cost, padded_targets, weighted_sum
from core.matching.solving import assign, begin_solving, copy_to_host, in_one_copy, match_to_truth, solve, truth_problem
from core.matching.threads import solver_threads
from core.types import Predictions, Problem
from tests.helpers import tiny
from tests.oracles import slow_losses

KINDS = [Matching(), Matching(eps=1e-12, box="xyxy"), Matching(1.0, 3.0, 0.5, alpha=0.4, gamma=1.5)]
COUNTS = [(3, 1), (0, 4), (2, 0, 5), (0, 0), (9, 7), (1,)]


def draws(n: int, counts=None):
    """(Predictions, Targets) with several counts of objects, among them none and more than queries."""
    for seed in range(n):
        draw = torch.Generator().manual_seed(seed)
        per_image = counts or COUNTS[seed % len(COUNTS)]
        yield tiny.predictions(draw, len(per_image)), tiny.targets(per_image, 4, draw)


def test_objects_are_padded_image_by_image():
    for _, truth in draws(12):
        boxes, labels, valid = padded_targets(truth)
        assert valid.sum(1).tolist() == list(truth.counts) and valid.shape[1] == max(truth.counts)
        assert torch.equal(boxes[valid], truth.boxes) and torch.equal(labels[valid], truth.labels)
        assert not boxes[~valid].any()


@pytest.mark.parametrize("kind", KINDS)
def test_costs_are_the_slow_ones_for_every_query_and_object(kind):
    for p, truth in draws(12):
        parts = costs(p, truth, kind)
        whole, first = weighted_sum(parts, kind.weights), np.cumsum([0, *truth.counts])
        numbers, objects = slow_losses.plain(p), slow_losses.plain(truth)
        for layer, image, query, slot in np.ndindex(*whole.shape):
            if slot < truth.counts[image]:
                t = first[image] + slot
                cost = slow_losses.truth_cost(numbers, objects, layer, image, query, t, kind)
                assert float(whole[layer, image, query, slot]) == pytest.approx(cost, abs=1e-3)
                assert float(parts["l1"][layer, image, query, slot]) == pytest.approx(
                    slow_losses.l1(numbers.boxes[layer, image, query], objects.boxes[t], kind.box), abs=1e-5
                )


def test_class_cost_falls_as_the_score_rises_and_costs_are_finite_at_the_ends():
    z = torch.linspace(-50, 50, 401)
    for kind in KINDS:
        cost = focal_cost(z, kind)
        assert cost.isfinite().all() and (cost.diff() <= 1e-4).all() and cost[0] > 0 > cost[-1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("z", [-50.0, 50.0, -1e4, 1e4])
def test_costs_are_finite_for_extreme_logits_and_empty_boxes(kind, z):
    truth = tiny.batch()[1]
    boxes = torch.zeros(2, 2, 5, 4)
    boxes[..., :2] = 0.5
    parts = costs(Predictions(torch.full((2, 2, 5, 4), z), boxes, torch.zeros(2, 2, 5, 2)), truth, kind)
    assert all(x.isfinite().all() for x in parts.values())


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_predictions_have_costs_in_float32(kind):
    for p, truth in draws(6):
        low = Predictions(*(x.bfloat16() for x in vars(p).values()))
        same = Predictions(*(x.float() for x in vars(low).values()))
        for name, part in costs(low, truth, kind).items():
            assert part.dtype == torch.float32 and torch.equal(part, costs(same, truth, kind)[name])
        assert tiny.rows(match_to_truth({"s": (low, kind)}, truth)["s"]) == tiny.rows(
            match_to_truth({"s": (same, kind)}, truth)["s"]
        )


@pytest.mark.parametrize("kind", KINDS)
def test_the_matching_to_the_truth_is_scipys_on_slow_costs(kind):
    for p, truth in draws(24):
        found = match_to_truth({"s": (p, kind)}, truth)["s"]
        assert tiny.rows(found) == slow_losses.to_truth(slow_losses.plain(p), slow_losses.plain(truth), kind)
        assert (truth.image[found.target] == found.image).all()


def test_two_detectors_are_matched_as_each_alone():
    for (p, truth), (other, _) in zip(draws(12), draws(12, counts=None)):
        other = tiny.predictions(torch.Generator().manual_seed(99), len(truth.counts), layers=3, queries=5)
        both = match_to_truth({"student": (p, KINDS[0]), "teacher": (other, KINDS[1])}, truth)
        assert tiny.rows(both["student"]) == tiny.rows(match_to_truth({"student": (p, KINDS[0])}, truth)["student"])
        assert tiny.rows(both["teacher"]) == tiny.rows(match_to_truth({"teacher": (other, KINDS[1])}, truth)["teacher"])


def test_every_object_has_one_query_or_every_query_one_object():
    """As many queries are matched as there are objects, while there are enough queries."""
    for p, truth in draws(24):
        found = match_to_truth({"s": (p, KINDS[0])}, truth)["s"]
        for layer, image in np.ndindex(2, len(truth.counts)):
            here = found.of(layer=layer, image=image)
            assert len(here) == min(truth.counts[image], 7)
            assert here.query.unique().numel() == here.target.unique().numel() == len(here)


def test_layers_can_be_cut_from_an_answer_without_looking():
    for p, truth in draws(24):
        found = match_to_truth({"s": (p, KINDS[0])}, truth)["s"]
        for layer in range(2):
            keep = found.layer == layer
            assert tiny.rows(found.of_layer(layer, layers=2)) == tiny.rows(found.at(keep))


def test_no_objects_at_all_is_an_empty_assignment():
    p = tiny.predictions(torch.Generator().manual_seed(0), 2)
    assignment = match_to_truth({"s": (p, KINDS[0])}, tiny.no_targets(2))["s"]
    assert len(assignment) == 0 and assignment.layer.dtype == torch.long


def random_problem(rng, ties: bool) -> Problem:
    l, b, q, t = (int(rng.integers(1, n)) for n in (3, 4, 6, 7))
    cost = rng.integers(0, 3, (l, b, q, t)) if ties else rng.normal(size=(l, b, q, t))
    return Problem(torch.tensor(cost, dtype=torch.float32), torch.tensor(rng.random((l, b, t)) < 0.7))


def least(cost: np.ndarray) -> float:
    """The least total of a complete assignment of the smaller side, by trying all."""
    cost = cost if cost.shape[0] <= cost.shape[1] else cost.T
    lines = np.arange(len(cost))
    return min(cost[lines, list(p)].sum() for p in permutations(range(cost.shape[1]), len(cost)))


@pytest.mark.parametrize("ties", [False, True])
def test_solutions_are_optimal_by_brute_force(ties):
    rng = np.random.default_rng(0)
    for _ in range(60):
        problem = random_problem(rng, ties)
        found = solve({"loss": {"map": problem}})["loss"]["map"]
        for layer, image in np.ndindex(*problem.columns.shape[:2]):
            here = found.of(layer=layer, image=image)
            wanted = problem.columns[layer, image].nonzero()[:, 0]
            table = problem.cost[layer, image][:, wanted].double().numpy()
            assert len(here) == min(table.shape) == here.query.unique().numel() == here.target.unique().numel()
            assert set(here.target.tolist()) <= set(wanted.tolist())
            spent = problem.cost[here.index + (here.target,)].double().sum().item()
            assert spent == pytest.approx(least(table) if len(here) else 0, abs=1e-5)


def test_rows_given_away_are_not_to_be_had_again():
    rng = np.random.default_rng(1)
    for _ in range(40):
        first = Problem(
            torch.tensor(rng.normal(size=(2, 2, 6, 3)), dtype=torch.float32), torch.ones(2, 2, 3, dtype=torch.bool)
        )
        second = Problem(
            torch.tensor(rng.normal(size=(2, 2, 6, 5)), dtype=torch.float32),
            torch.ones(2, 2, 5, dtype=torch.bool),
            ("a",),
        )
        found = solve(
            {"loss": {"a": first, "b": second}, "other": {"a": second.__class__(second.cost, second.columns)}}
        )
        a, b, free = found["loss"]["a"], found["loss"]["b"], found["other"]["a"]
        for layer, image in np.ndindex(2, 2):
            left = sorted(set(range(6)) - set(a.of(layer=layer, image=image).query.tolist()))
            row, column = linear_sum_assignment(second.cost[layer, image][left].numpy())
            here = b.of(layer=layer, image=image)
            assert dict(zip(here.query.tolist(), here.target.tolist())) == {left[r]: c for r, c in zip(row, column)}
            assert len(free.of(layer=layer, image=image)) == 5, "another loss has all rows"


def test_targets_are_given_by_the_names_of_their_columns():
    rng = np.random.default_rng(2)
    for _ in range(30):
        plain = random_problem(rng, ties=False)
        names = torch.tensor(rng.permuted(np.tile(np.arange(50), (*plain.columns.shape[:2], 1)), axis=2))
        names = names[..., : plain.columns.shape[2]]
        found = solve({"loss": {"plain": plain, "named": replace(plain, names=names)}})["loss"]
        a, b = found["plain"], found["named"]
        assert all(torch.equal(getattr(a, x), getattr(b, x)) for x in ("layer", "image", "query"))
        assert torch.equal(b.target, names[a.layer, a.image, a.target])
        cost = plain.cost[a.layer, a.image, a.query, a.target]
        assert torch.equal(plain.cost_of(a), cost) and torch.equal(replace(plain, names=names).cost_of(b), cost)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_cost_that_is_not_finite_stops_with_its_place(bad):
    cost = torch.zeros(3, 2, 4, 2)
    cost[1, 1, 2, 0] = bad
    columns = torch.ones(3, 2, 2, dtype=torch.bool)
    with pytest.raises(FloatingPointError, match=r"truth teacher.*layer 1, image 1"):
        solve({"truth": {"teacher": Problem(cost, columns)}})
    columns[1, 1, 0] = False
    assert len(solve({"truth": {"teacher": Problem(cost, columns)}})["truth"]["teacher"]) == 3 * 2 * 2 - 1


def test_predictions_that_are_nan_stop_with_layer_and_image():
    p, truth = next(draws(1))
    p.logits[1, 0, 3] = torch.nan
    with pytest.raises(FloatingPointError, match=r"truth student.*layer 1, image 0"):
        match_to_truth({"student": (p, KINDS[0])}, truth)


@pytest.mark.parametrize("kind", ["ties", "normal"])
def test_ten_thousand_assignments_cost_what_scipys_do(kind):
    """5000 of a kind: 0 to 50 rows are free, 0 to 50 columns take part, and what does not is infinite or no number."""
    rng, met = np.random.default_rng(5), set()
    for _ in range(50):
        q, t = rng.integers(1, 51, 2)
        cost = rng.normal(size=(5, 20, q, t)) * 10.0 ** rng.integers(-3, 4)
        cost = (np.sign(cost) if kind == "ties" else cost).astype(np.float32)
        free, columns = (rng.random((5, 20, n)) < rng.choice([0, 0.5, 1], (5, 20, 1)) for n in (q, t))
        cost[~free] = rng.choice([np.inf, -np.inf, np.nan])
        cost.swapaxes(2, 3)[~columns] = rng.choice([np.inf, -np.inf, np.nan])
        found = assign(cost, columns, [np.pad(np.argwhere(~free), ((0, 0), (0, 1)))], "x")
        sizes = np.minimum(free.sum(2), columns.sum(2))
        for place, rows in zip(np.ndindex(5, 20), np.split(found, sizes.cumsum()[:-1])):
            part = cost[place][free[place]][:, columns[place]].astype(np.float64)
            assert (rows[:, :2] == place).all() and len({*rows[:, 2]}) == len({*rows[:, 3]}) == sizes[place]
            assert free[place][rows[:, 2]].all() and columns[place][rows[:, 3]].all()
            spent = cost[place][rows[:, 2], rows[:, 3]].sum(dtype=np.float64)
            assert math.isclose(spent, part[linear_sum_assignment(part)].sum(), rel_tol=1e-9, abs_tol=1e-9)
            met.add((0 in part.shape, part.shape[0] < part.shape[1], part.shape[0] == part.shape[1]))
    assert len(met) >= 5


def test_all_tensors_reach_the_host_in_one_copy_and_in_their_shapes(monkeypatch):
    tensors = [torch.randn(2, 3, 4), torch.rand(5) < 0.5, torch.zeros(0, 3), torch.randn(1).bfloat16(), torch.arange(4)]
    copies, real = [], torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda x, *args, **more: copies.append(x) or real(x, *args, **more))
    for arrays, made in ((in_one_copy(tensors)(), 1), (copy_to_host(tensors)(), 1)):
        assert len(copies) == made, "what is on the CPU is there"
        for x, array in zip(tensors, arrays, strict=True):
            assert array.dtype == np.float32
            assert array.shape == tuple(x.shape) and np.array_equal(array, x.float().numpy())


def test_what_was_begun_is_solved_in_any_order():
    one, other = (torch.rand(2, 1, 5, 3) for _ in range(2))
    columns = torch.ones(2, 1, 3, dtype=torch.bool)
    begun = [begin_solving({"loss": {"map": Problem(cost, columns)}}) for cost in (one, other)]
    for cost, arrived in reversed(list(zip((one, other), begun))):
        expected = solve({"loss": {"map": Problem(cost, columns)}})["loss"]["map"]
        assert tiny.rows(arrived()["loss"]["map"]) == tiny.rows(expected)


def test_nothing_to_solve_costs_no_copy(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "to", None)
    assert solve({"detection": {}, "prior": {}}) == {"detection": {}, "prior": {}}


def test_the_solver_is_called_once_for_each_layer_and_image(monkeypatch):
    calls, real = [], solving.optimal_assignment
    monkeypatch.setattr(solving, "optimal_assignment", lambda c: calls.append(c.shape) or real(c))
    assign(np.zeros((3, 2, 5, 4), dtype=np.float32), np.ones((3, 2, 4), dtype=bool), [], "x")
    assert calls == [(5, 4)] * 6


def test_answers_are_the_same_on_any_number_of_threads():
    rng, answers = np.random.default_rng(0), []
    cost, columns = rng.random((2, 3, 140, 150), dtype=np.float32), rng.random((2, 3, 150)) < 0.9
    bad = cost.copy()
    bad[1, 0, 3, 3] = np.nan
    columns[1, 0, 3] = True
    for threads in (1, 2, 5, 100):
        answers.append(assign(cost, columns, [np.array([[0, 1, 7, 0]])], "x", threads=threads))
        with pytest.raises(FloatingPointError, match="layer 1, image 0"):
            assign(bad, columns, [], "x", threads=threads)
    rows = np.full((2, 3), 140) - [[0, 1, 0], [0, 0, 0]]
    assert all(np.array_equal(a, answers[0]) for a in answers)
    assert len(answers[0]) == np.minimum(rows, columns.sum(2)).sum()


def test_only_large_problems_are_given_to_threads(monkeypatch):
    asked, real = [], solving.map_on_threads
    monkeypatch.setattr(solving, "map_on_threads", lambda f, of, threads: asked.append(threads) or real(f, of, threads))
    for size in ((300, 7), (63, 63), (64, 64), (900, 300)):
        assign(np.zeros((1, 1, *size), dtype=np.float32), np.ones((1, 1, size[1]), dtype=bool), [], "x", threads=3)
    assert asked == [1, 1, 3, 3]


def test_beside_a_gpu_the_cores_are_shared_out_among_processes(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 12)
    assert solver_threads(torch.device("cpu")) == torch.get_num_threads()
    assert solver_threads(torch.device("cuda", 0)) == 12
    for processes, threads in ((4, 3), (8, 1), (16, 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
        assert solver_threads(torch.device("cuda", 0)) == threads


def test_costs_are_the_same_on_any_number_of_threads(monkeypatch):
    """Of predictions in training, each thread on its own pieces; torch has as many threads afterwards as before."""
    ((p, targets),) = draws(1, counts=(4, 0, 2))
    p = replace(p, logits=p.logits.clone().requires_grad_(), boxes=p.boxes.clone().requires_grad_())
    before, seen = torch.get_num_threads(), set()
    monkeypatch.setattr(costs_module, "IN_CACHE", 1)  # an image a piece
    monkeypatch.setattr(costs_module, "class_costs", noted(costs_module.class_costs, seen))
    try:
        found = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(truth_problem(p, targets, Matching()).cost)
            assert torch.get_num_threads() == threads and not found[-1].requires_grad
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found) and len({thread for thread, _ in seen}) > 1 and {count for _, count in seen} == {1}


def noted(function, seen: set):
    """Says who calls, and with how many threads for each operation."""

    def call(*arguments):
        seen.add((get_ident(), torch.get_num_threads()))
        return function(*arguments)

    return call


def test_a_fault_in_one_piece_is_raised_and_threads_come_back():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        threads_module.run_chunks(lambda x: 1 / x, [1, 0, 1])
    assert torch.get_num_threads() == before


def test_costs_in_pieces_are_those_at_once(monkeypatch):
    for p, truth in draws(12):
        whole = weighted_sum(costs(p, truth, KINDS[0]), KINDS[0].weights)
        for pairs in (1, 50, 10**6):
            monkeypatch.setattr(costs_module, "IN_CACHE", pairs)
            torch.testing.assert_close(truth_problem(p, truth, KINDS[0]).cost, whole)
