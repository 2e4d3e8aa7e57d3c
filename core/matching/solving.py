"""Exact assignment of many images and layers at once: one copy to the host, one back."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Int
from torch import Tensor

from core.matching.costs import Matching, first_objects, in_chunks, padded_targets, pair_costs, weighted_sum
from core.matching.hungarian import optimal_assignment
from core.matching.threads import map_on_threads, solver_threads
from core.types import Assignment, Predictions, Problem, Targets

THREADED = 64  # queries and objects from which a problem is worth a thread


@torch.no_grad()
def match_to_truth(found: Mapping[str, tuple[Predictions, Matching]], targets: Targets) -> dict[str, Assignment]:
    """The assignment of each detector's queries to the objects, by the detector's name; one copy for all of them."""
    return solve({"truth": {name: truth_problem(p, targets, m) for name, (p, m) in found.items()}})["truth"]


@torch.no_grad()
def truth_problem(p: Predictions, targets: Targets, matching: Matching) -> Problem:
    """Which query answers for which object: the columns are those of `padded`, the answer's targets are of the batch."""
    boxes, labels, valid = padded_targets(targets)
    names = rearrange(first_objects(targets), "b -> b 1") + torch.arange(labels.shape[1], device=labels.device)
    boxes, labels, valid, names = (
        repeat(x, "b ... -> l b ...", l=len(p.logits)) for x in (boxes, labels, valid, names)
    )
    price = in_chunks(
        lambda *of: weighted_sum(pair_costs(*of, matching), matching.weights), p.logits, p.boxes, labels, boxes
    )
    return Problem(price, valid, names=names)


@torch.no_grad()
def solve(groups: Mapping[str, Mapping[str, Problem]]) -> dict[str, dict[str, Assignment]]:
    """Exact solutions of all problems of all losses: one copy to the host, one back.

    Raises FloatingPointError, naming layer and image, where a cost is not finite.
    """
    hosted = to_host([x for problems in groups.values() for p in problems.values() for x in (p.cost, p.columns)])
    answers, solved = iter(hosted), {}
    for group, problems in groups.items():
        solved[group] = {}
        for name, problem in problems.items():
            cost, columns = next(answers), next(answers).astype(bool)
            taken = [solved[group][earlier] for earlier in problem.without]
            threads = solver_threads(problem.cost.device)
            solved[group][name] = assign(cost, columns, taken, f"{group} {name}".strip(), threads=threads)
    return to_device(solved, groups)


def assign(
    cost: np.ndarray, columns: np.ndarray, taken: list[np.ndarray], name: str, *, threads: int = 1
) -> np.ndarray:
    """Rows (layer, image, query, target) of the optimum of every layer and image, in their order.

    Large ones are solved on `threads`: the solver lets others run, and no answer depends on another.
    """
    free = np.ones(cost.shape[:3], dtype=bool)
    for rows in taken:
        free[tuple(rows[:, :3].T)] = False

    def answer(place: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        q, t = free[place].nonzero()[0], columns[place].nonzero()[0]
        part = cost[place][q][:, t]
        if not np.isfinite(part).all():
            raise FloatingPointError(
                f"the cost of matching ({name}) is not finite: layer {place[0]}, image {place[1]} of the batch"
            )
        row, column = optimal_assignment(part)
        return q[row], t[column]

    places = list(np.ndindex(*cost.shape[:2]))
    found = map_on_threads(answer, places, threads if min(cost.shape[2:]) >= THREADED else 1)
    query, target = (np.concatenate(x) for x in zip(*found))
    layer, image = np.repeat(np.array(places), [len(q) for q, _ in found], axis=0).T
    return np.stack([layer, image, query, target], 1)


def to_host(tensors: list[Tensor]) -> list[np.ndarray]:
    """All tensors as float32 arrays of their shapes: where they are if that is the CPU, or in one copy."""
    if all(x.device.type == "cpu" for x in tensors):
        return [x.float().numpy() for x in tensors]
    return in_one_copy(tensors)


def in_one_copy(tensors: list[Tensor]) -> list[np.ndarray]:
    flat = torch.cat([x.float().flatten() for x in tensors]).cpu().numpy()
    parts = np.split(flat, np.cumsum([x.numel() for x in tensors])[:-1])
    return [part.reshape(x.shape) for part, x in zip(parts, tensors)]


def to_device(solved: dict[str, dict[str, np.ndarray]], groups) -> dict[str, dict[str, Assignment]]:
    """Assignments in one copy, on the device of the costs, their targets by name."""
    rows = [a for answers in solved.values() for a in answers.values()]
    if not rows:
        return {group: {} for group in solved}
    device = next(p.cost.device for problems in groups.values() for p in problems.values())
    table = torch.from_numpy(np.concatenate(rows)).to(device, non_blocking=True)
    parts = iter(table.split([len(r) for r in rows]))
    return {
        group: {
            name: with_target_names(Assignment(*next(parts).unbind(1)), groups[group][name].names) for name in answers
        }
        for group, answers in solved.items()
    }


def with_target_names(a: Assignment, names: Int[Tensor, "l b t"] | None) -> Assignment:
    return a if names is None else replace(a, target=names[a.layer, a.image, a.target])
