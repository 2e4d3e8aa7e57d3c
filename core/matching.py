"""Who answers for whom: costs of pairs, exact assignment, and the one way to the host and back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from einops import repeat
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from core.boxes import corners, giou
from core.types import Assignment, Predictions, Problem, Targets


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


@torch.no_grad()
def costs(p: Predictions, targets: Targets, matching: Matching) -> dict[str, Float[Tensor, "l b q t"]]:
    """The price of each query for each object of its image, by part and unweighted: class (focal), l1, giou (negated).

    Columns beyond an image's own count are padding. DETR, arXiv 2005.12872; focal form of Deformable DETR.
    """
    boxes, labels, _ = padded(targets)
    boxes, labels = (repeat(x, "b ... -> l b ...", l=len(p.logits)) for x in (boxes, labels))
    per_class = focal_cost(p.logits.float(), matching)
    columns = repeat(labels, "l b t -> l b q t", q=p.logits.shape[2])
    return {"class": per_class.gather(-1, columns)} | box_costs(p.boxes, boxes, matching)


def focal_cost(logits: Float[Tensor, "*n c"], matching: Matching) -> Float[Tensor, "*n c"]:
    p = logits.sigmoid()
    miss = (1 - matching.alpha) * p**matching.gamma * -(1 - p + matching.eps).log()
    hit = matching.alpha * (1 - p) ** matching.gamma * -(p + matching.eps).log()
    return hit - miss


def box_costs(
    mine: Float[Tensor, "l b q 4"], theirs: Float[Tensor, "l b t 4"], matching: Matching
) -> dict[str, Float[Tensor, "l b q t"]]:
    """L1 distance and negated GIoU of every pair."""
    mine, theirs = mine[..., :, None, :], theirs[..., None, :, :]
    a, b = matching.coordinates(mine).unbind(-1), matching.coordinates(theirs).unbind(-1)
    return {"l1": sum((x - y).abs() for x, y in zip(a, b)), "giou": -giou(mine, theirs)}


def weighted(parts: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    return sum(weights[name] * part for name, part in parts.items())


@torch.no_grad()
def to_truth(found: Mapping[str, tuple[Predictions, Matching]], targets: Targets) -> dict[str, Assignment]:
    """The assignment of each detector's queries to the objects, by the detector's name; one copy for all of them."""
    problems = {name: posed(p, targets, m) for name, (p, m) in found.items()}
    return {name: of_batch(a, targets) for name, a in solve({"truth": problems})["truth"].items()}


@torch.no_grad()
def posed(p: Predictions, targets: Targets, matching: Matching) -> Problem:
    """Which query answers for which object of its image; the columns are those of `padded`."""
    _, _, valid = padded(targets)
    return Problem(
        weighted(costs(p, targets, matching), matching.weights), repeat(valid, "b t -> l b t", l=len(p.logits))
    )


def of_batch(a: Assignment, targets: Targets) -> Assignment:
    """Objects counted through the batch, in place of those of their image."""
    first = torch.tensor([0, *np.cumsum(targets.counts)[:-1]]).to(targets.labels.device, non_blocking=True)
    return replace(a, target=a.target + first[a.image])


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
            taken = [solved[group][earlier] for earlier in problem.without]
            solved[group][name] = assign(next(answers), next(answers).astype(bool), taken, f"{group} {name}".strip())
    return to_device(solved, groups)


def assign(cost: np.ndarray, columns: np.ndarray, taken: list[np.ndarray], name: str) -> np.ndarray:
    """Rows (layer, image, query, target) of the optimum of every layer and image; linear_sum_assignment is the solver."""
    free = np.ones(cost.shape[:3], dtype=bool)
    for rows in taken:
        free[tuple(rows[:, :3].T)] = False
    found = [np.zeros((0, 4), dtype=np.int64)]
    for layer, image in np.ndindex(*cost.shape[:2]):
        q, t = free[layer, image].nonzero()[0], columns[layer, image].nonzero()[0]
        part = cost[layer, image][np.ix_(q, t)]
        if not np.isfinite(part).all():
            raise FloatingPointError(
                f"the cost of matching ({name}) is not finite: layer {layer}, image {image} of the batch"
            )
        row, column = linear_sum_assignment(part)
        found.append(np.stack([np.full_like(row, layer), np.full_like(row, image), q[row], t[column]], 1))
    return np.concatenate(found)


def to_host(tensors: list[Tensor]) -> list[np.ndarray]:
    """All tensors in one copy, as float32 arrays of their shapes."""
    if not tensors:
        return []
    flat = torch.cat([x.float().flatten() for x in tensors]).cpu().numpy()
    parts = np.split(flat, np.cumsum([x.numel() for x in tensors])[:-1])
    return [part.reshape(x.shape) for part, x in zip(parts, tensors)]


def to_device(solved: dict[str, dict[str, np.ndarray]], groups) -> dict[str, dict[str, Assignment]]:
    """Assignments in one copy, on the device of the costs."""
    rows = [a for answers in solved.values() for a in answers.values()]
    if not rows:
        return {group: {} for group in solved}
    device = next(p.cost.device for problems in groups.values() for p in problems.values())
    table = torch.from_numpy(np.concatenate(rows)).to(device, non_blocking=True)
    parts = iter(table.split([len(r) for r in rows]))
    return {group: {name: Assignment(*next(parts).unbind(1)) for name in answers} for group, answers in solved.items()}
