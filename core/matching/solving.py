"""Exact assignment for many images and layers at once, with one copy to the host and one back. On a GPU it can be begun early."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.matching.costs import Matching, first_objects, in_chunks, padded_targets, pair_costs, weighted_sum
from core.matching.hungarian import optimal_assignment
from core.matching.threads import map_on_threads, solver_threads
from core.types import Assignment, Predictions, Problem, Targets

T = TypeVar("T")
Arrived = Callable[[], T]  # waits for what was begun, and returns it

THREADED = 64  # queries and objects from which problems are solved on several threads


@torch.no_grad()
def match_to_truth(
    predictions: Mapping[str, tuple[Predictions, Matching]],
    targets: Targets,
    valid: Mapping[str, Bool[Tensor, "b q"] | None] | None = None,
) -> dict[str, Assignment]:
    """The assignment of each detector's queries to the objects, by the detector's name, with one copy for all detectors.

    `valid` tells by the detector's name which of its queries may be matched; by default all.
    """
    return begin_match_to_truth(predictions, targets, valid)()


@torch.no_grad()
def begin_match_to_truth(
    predictions: Mapping[str, tuple[Predictions, Matching]],
    targets: Targets,
    valid: Mapping[str, Bool[Tensor, "b q"] | None] | None = None,
) -> Arrived[dict[str, Assignment]]:
    """Begins `match_to_truth`, whose costs a GPU computes and copies now; the call that is returned solves and returns it."""
    problems = {name: truth_problem(p, targets, matching) for name, (p, matching) in predictions.items()}
    for name, rows in (valid or {}).items():
        if rows is not None:
            layers = len(predictions[name][0].logits)
            problems[name] = replace(problems[name], rows=repeat(rows, "b q -> l b q", l=layers))
    solved = begin_solving({"truth": problems})
    return lambda: solved()["truth"]


@torch.no_grad()
def truth_problem(p: Predictions, targets: Targets, matching: Matching) -> Problem:
    """The problem of matching queries with the objects of their image, in every layer.

    The columns are those of `padded_targets`; the targets of the solution are indices into the batch's objects.
    """
    boxes, labels, valid = padded_targets(targets)
    names = rearrange(first_objects(targets), "b -> b 1") + torch.arange(labels.shape[1], device=labels.device)
    boxes, labels, valid, names = (
        repeat(x, "b ... -> l b ...", l=len(p.logits)) for x in (boxes, labels, valid, names)
    )
    cost = partial(pair_cost, matching)
    return Problem(in_chunks(cost, p.logits, p.boxes, labels, boxes), valid, names=names)


def pair_cost(
    matching: Matching,
    logits: Float[Tensor, "n q c"],
    query_boxes: Float[Tensor, "n q 4"],
    labels: Int[Tensor, "n t"],
    boxes: Float[Tensor, "n t 4"],
) -> Float[Tensor, "n q t"]:
    """The cost of every pair of a query and an object: the weighted sum of its parts."""
    return weighted_sum(pair_costs(logits, query_boxes, labels, boxes, matching), matching.weights)


def solve(groups: Mapping[str, Mapping[str, Problem]]) -> dict[str, dict[str, Assignment]]:
    """Exact solutions of all problems, by loss and problem, with one copy to the host and one back.

    FloatingPointError, naming loss, problem, layer and image: a cost is not finite.
    """
    return begin_solving(groups)()


@torch.no_grad()
def begin_solving(groups: Mapping[str, Mapping[str, Problem]]) -> Arrived[dict[str, dict[str, Assignment]]]:
    """Begins to copy the costs to the host. The call that is returned waits for them, and solves as `solve` does.

    What is given to a GPU in between runs while the host solves.
    """
    every = [p for problems in groups.values() for p in problems.values()]
    if not every:
        return lambda: {group: {} for group in groups}
    costs = copy_to_host([x for p in every for x in (p.cost, p.columns, p.rows) if x is not None])
    return lambda: to_device(solutions(groups, iter(costs())), groups)


def solutions(
    groups: Mapping[str, Mapping[str, Problem]], arrays: Iterator[np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """The solutions of `assign`, by loss and problem; `arrays` are the costs, columns and rows of each problem in turn."""
    solved: dict[str, dict[str, np.ndarray]] = {}
    for group, problems in groups.items():
        solved[group] = {}
        for name, problem in problems.items():
            cost, columns = next(arrays), next(arrays).astype(bool)
            rows = None if problem.rows is None else next(arrays).astype(bool)
            taken = [solved[group][earlier] for earlier in problem.without]
            threads = solver_threads(problem.cost.device)
            solved[group][name] = assign(cost, columns, taken, f"{group} {name}".strip(), threads=threads, rows=rows)
    return solved


def assign(
    cost: np.ndarray,
    columns: np.ndarray,
    taken: list[np.ndarray],
    name: str,
    *,
    threads: int = 1,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """The optimum of every layer and image as rows (layer, image, query, column), ordered by layer and image.

    `cost` is (l, b, q, t), `columns` (l, b, t) and `rows` (l, b, q) tell which of them take part, and `taken` holds rows of
    earlier solutions whose queries are not available. Large problems are solved on several threads, since the solver releases
    the GIL; the result does not depend on their number. FloatingPointError mentions `name`.
    """
    free = np.ones(cost.shape[:3], dtype=bool) if rows is None else rows.copy()
    for earlier in taken:
        free[tuple(earlier[:, :3].T)] = False
    places = list(np.ndindex(*cost.shape[:2]))
    solve_at = partial(solve_image, cost, free, columns, name)
    solutions = map_on_threads(solve_at, places, threads if min(cost.shape[2:]) >= THREADED else 1)
    query, target = (np.concatenate(x) for x in zip(*solutions))
    layer, image = np.repeat(np.array(places), [len(q) for q, _ in solutions], axis=0).T
    return np.stack([layer, image, query, target], 1)


def solve_image(
    cost: np.ndarray, rows: np.ndarray, columns: np.ndarray, name: str, place: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The matched rows and columns of one layer and image, `place`; the arguments are those of `assign`."""
    q, t = rows[place].nonzero()[0], columns[place].nonzero()[0]
    part = cost[place][q][:, t]
    if not np.isfinite(part).all():
        raise FloatingPointError(
            f"the cost of matching ({name}) is not finite: layer {place[0]}, image {place[1]} of the batch"
        )
    row, column = optimal_assignment(part)
    return q[row], t[column]


def copy_to_host(tensors: list[Tensor]) -> Arrived[list[np.ndarray]]:
    """Begins to copy all tensors; the call that is returned gives them as float32 arrays. On the CPU nothing is copied."""
    if all(x.device.type == "cpu" for x in tensors):
        return lambda: [x.float().numpy() for x in tensors]
    return in_one_copy(tensors)


def in_one_copy(tensors: list[Tensor]) -> Arrived[list[np.ndarray]]:
    """Begins to copy all tensors as one; the call that is returned gives them as float32 arrays of the same shapes.

    A GPU copies to page-locked memory, so that only that call waits, and only for what was computed before.
    """
    flat = torch.cat([x.float().flatten() for x in tensors])
    on_host, copied = flat.to("cpu", non_blocking=flat.is_cuda), None
    if flat.is_cuda:
        copied = torch.cuda.Event()
        copied.record(torch.cuda.current_stream(flat.device))

    def arrays() -> list[np.ndarray]:
        if copied:
            copied.synchronize()
        return split_as(on_host, tensors)

    return arrays


def split_as(flat: Float[Tensor, " n"], tensors: list[Tensor]) -> list[np.ndarray]:
    """The numbers as arrays of the tensors' shapes."""
    parts = flat.split([x.numel() for x in tensors])
    return [part.view(x.shape).numpy() for part, x in zip(parts, tensors)]


def to_device(
    solved: Mapping[str, Mapping[str, np.ndarray]], groups: Mapping[str, Mapping[str, Problem]]
) -> dict[str, dict[str, Assignment]]:
    """The solutions as assignments on the device of the costs, in one copy, with the targets that the problems name."""
    rows = [solution for solutions in solved.values() for solution in solutions.values()]
    device = next(p.cost.device for problems in groups.values() for p in problems.values())
    table = torch.from_numpy(np.concatenate(rows)).to(device, non_blocking=True)
    parts = iter(table.split([len(r) for r in rows]))
    return {
        group: {
            name: with_target_names(Assignment(*next(parts).unbind(1)), groups[group][name].names) for name in solutions
        }
        for group, solutions in solved.items()
    }


def with_target_names(a: Assignment, names: Int[Tensor, "l b t"] | None) -> Assignment:
    """The assignment with its columns replaced by their names; unchanged if there are none."""
    return a if names is None else replace(a, target=names[a.layer, a.image, a.target])
