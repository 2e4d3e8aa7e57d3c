"""Who answers for whom: costs of pairs, exact assignment, and the one way to the host and back."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.boxes import apart, corners, giou
from core.hungarian import assignment
from core.types import Assignment, Predictions, Problem, Targets

THREADED = 64  # queries and objects from which a problem is worth a thread
IN_CACHE = 2**18  # pairs that the CPU prices at a time, so that what is made on the way stays in its cache


@dataclass(frozen=True)
class Matching:
    """A detector's own matching and detection loss, as data (DETECTORS 1.4): both read the same weights."""

    class_weight: float = 2.0
    l1_weight: float = 5.0
    giou_weight: float = 2.0
    alpha: float = 0.25  # of the focal cost and loss
    gamma: float = 2.0
    eps: float = 1e-8  # inside the logarithms of the class cost
    box: Literal["cxcywh", "xyxy"] = "cxcywh"  # in which the L1 distance is taken

    @property
    def weights(self) -> dict[str, float]:
        return {"class": self.class_weight, "l1": self.l1_weight, "giou": self.giou_weight}

    def coordinates(self, boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
        return corners(boxes.float()) if self.box == "xyxy" else boxes.float()


def padded(targets: Targets) -> tuple[Float[Tensor, "b t 4"], Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
    """Boxes, labels and validity of the objects, image by image; t is the largest count."""
    shape = (len(targets.counts), max(targets.counts, default=0))
    slot = torch.cat([torch.arange(n) for n in targets.counts]).to(targets.labels.device, non_blocking=True)
    boxes = targets.boxes.new_zeros(*shape, 4).index_put((targets.image, slot), targets.boxes)
    labels = targets.labels.new_zeros(shape).index_put((targets.image, slot), targets.labels)
    valid = torch.zeros_like(labels, dtype=torch.bool).index_put((targets.image, slot), torch.ones_like(slot).bool())
    return boxes, labels, valid


def starts(targets: Targets) -> Int[Tensor, " b"]:
    """Where the objects of each image begin."""
    return torch.tensor([0, *targets.counts[:-1]]).cumsum(0).to(targets.labels.device, non_blocking=True)


@torch.no_grad()
def costs(p: Predictions, targets: Targets, matching: Matching) -> dict[str, Float[Tensor, "l b q t"]]:
    """The price of each query for each object of its image, by part and unweighted: class (focal), l1, giou (negated).

    Columns beyond an image's own count are padding. DETR, arXiv 2005.12872; focal form of Deformable DETR.
    """
    boxes, labels, _ = (repeat(x, "b ... -> l b ...", l=len(p.logits)) for x in padded(targets))
    return pair_costs(p.logits, p.boxes, labels, boxes, matching)


def pair_costs(
    logits: Float[Tensor, "*n q c"],
    mine: Float[Tensor, "*n q 4"],
    labels: Int[Tensor, "*n t"],
    theirs: Float[Tensor, "*n t 4"],
    matching: Matching,
) -> dict[str, Float[Tensor, "*n q t"]]:
    return {"class": class_costs(logits, labels, matching)} | box_costs(mine, theirs, matching)


def class_costs(
    logits: Float[Tensor, "*n q c"], labels: Int[Tensor, "*n t"], matching: Matching
) -> Float[Tensor, "*n q t"]:
    """Of every query and object, from the price of every class or that of every pair, whichever are fewer."""
    columns = repeat(labels, "... t -> ... q t", q=logits.shape[-2])
    if labels.shape[-1] < logits.shape[-1]:
        return focal_cost(logits.gather(-1, columns).float(), matching)
    return focal_cost(logits.float(), matching).gather(-1, columns)


def focal_cost(logits: Float[Tensor, "*n c"], matching: Matching) -> Float[Tensor, "*n c"]:
    p = logits.sigmoid()
    miss = (1 - matching.alpha) * p**matching.gamma * -(1 - p + matching.eps).log()
    hit = matching.alpha * (1 - p) ** matching.gamma * -(p + matching.eps).log()
    return hit - miss


@torch.no_grad()
def box_costs(
    mine: Float[Tensor, "*n q 4"], theirs: Float[Tensor, "*n t 4"], matching: Matching
) -> dict[str, Float[Tensor, "*n q t"]]:
    """L1 distance and negated GIoU of every pair."""
    mine, theirs = mine[..., :, None, :], theirs[..., None, :, :]
    away = apart(matching.coordinates(mine)) - apart(matching.coordinates(theirs))
    return {"l1": away.abs_().sum(0), "giou": -giou(mine, theirs)}


def weighted(parts: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    (first, total), *rest = parts.items()
    total = weights[first] * total
    for name, part in rest:
        total = total.add(part, alpha=weights[name])
    return total


@torch.no_grad()
def in_pieces(price: Callable[..., Float[Tensor, "n q t"]], *of: Tensor) -> Float[Tensor, "l b q t"]:
    """price(*of) for tensors (l, b, q, ...) of the rows and (l, b, t, ...) of the columns; on the CPU a few images at a
    time.
    """
    (l, b, q), t = of[0].shape[:3], of[-1].shape[2]
    total = torch.empty(l, b, q, t, device=of[0].device)
    step = max(1, IN_CACHE // max(1, q * t)) if of[0].device.type == "cpu" else max(1, l * b)

    @torch.no_grad()  # each thread has a mode of its own
    def fill(piece: tuple[Tensor, ...]) -> None:
        piece[0].copy_(price(*piece[1:]))

    side_by_side(fill, list(zip(*(x.flatten(0, 1).split(step) for x in (total, *of)))))
    return total


def side_by_side(function: Callable, pieces: list) -> None:
    """Each of torch's threads takes whole pieces: meeting after every operation costs them more than a piece does."""
    threads = torch.get_num_threads()
    if len(pieces) > 1:
        torch.set_num_threads(1)  # those of the pool take this over when they begin
    try:
        on_threads(function, pieces, threads)
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def to_truth(found: Mapping[str, tuple[Predictions, Matching]], targets: Targets) -> dict[str, Assignment]:
    """The assignment of each detector's queries to the objects, by the detector's name; one copy for all of them."""
    return solve({"truth": {name: posed(p, targets, m) for name, (p, m) in found.items()}})["truth"]


@torch.no_grad()
def posed(p: Predictions, targets: Targets, matching: Matching) -> Problem:
    """Which query answers for which object: the columns are those of `padded`, the answer's targets are of the batch."""
    boxes, labels, valid = padded(targets)
    names = rearrange(starts(targets), "b -> b 1") + torch.arange(labels.shape[1], device=labels.device)
    boxes, labels, valid, names = (
        repeat(x, "b ... -> l b ...", l=len(p.logits)) for x in (boxes, labels, valid, names)
    )
    price = in_pieces(
        lambda *of: weighted(pair_costs(*of, matching), matching.weights), p.logits, p.boxes, labels, boxes
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
            threads = threads_beside(problem.cost.device)
            solved[group][name] = assign(cost, columns, taken, f"{group} {name}".strip(), threads=threads)
    return to_device(solved, groups)


def threads_beside(device: torch.device) -> int:
    """How many may solve: as many as torch has on the CPU; beside a GPU this process's share of the cores."""
    if device.type == "cpu":
        return torch.get_num_threads()
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))  # of torchrun


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
        row, column = assignment(part)
        return q[row], t[column]

    places = list(np.ndindex(*cost.shape[:2]))
    found = on_threads(answer, places, threads if min(cost.shape[2:]) >= THREADED else 1)
    query, target = (np.concatenate(x) for x in zip(*found))
    layer, image = np.repeat(np.array(places), [len(q) for q, _ in found], axis=0).T
    return np.stack([layer, image, query, target], 1)


def on_threads(function: Callable, of: list, threads: int) -> list:
    threads = min(threads, len(of))
    if threads < 2:
        return [function(x) for x in of]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, of))


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
        group: {name: named(Assignment(*next(parts).unbind(1)), groups[group][name].names) for name in answers}
        for group, answers in solved.items()
    }


def named(a: Assignment, names: Int[Tensor, "l b t"] | None) -> Assignment:
    return a if names is None else replace(a, target=names[a.layer, a.image, a.target])
