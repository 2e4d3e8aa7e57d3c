"""Who answers for whom: costs of pairs, exact assignment, and the one way to the host and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from einops import repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.boxes import coordinates_first, corners, giou
from core.matching.threads import run_chunks
from core.types import Predictions, Targets

IN_CACHE = 2**18  # pairs that the CPU prices at a time, so that what is made on the way stays in its cache


@dataclass(frozen=True)
class Matching:
    """A detector's own matching and detection loss, as data (DETECTORS 1.4): both read the same weights."""

    class_weight: float = 2.0  # Weight of the class cost and loss.
    l1_weight: float = 5.0  # Weight of the L1 cost and loss of boxes.
    giou_weight: float = 2.0  # Weight of the GIoU cost and loss of boxes.
    alpha: float = 0.25  # Weight of positives in the focal cost and loss.
    gamma: float = 2.0  # Exponent of the focal cost and loss.
    eps: float = 1e-8  # Small number inside the logarithms of the class cost.
    box: Literal["cxcywh", "xyxy"] = "cxcywh"  # Coordinates in which the L1 distance of boxes is taken.

    @property
    def weights(self) -> dict[str, float]:
        return {"class": self.class_weight, "l1": self.l1_weight, "giou": self.giou_weight}

    def coordinates(self, boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
        return corners(boxes.float()) if self.box == "xyxy" else boxes.float()


def padded_targets(targets: Targets) -> tuple[Float[Tensor, "b t 4"], Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
    """Boxes, labels and validity of the objects, image by image; t is the largest count."""
    shape = (len(targets.counts), max(targets.counts, default=0))
    slot = torch.cat([torch.arange(n) for n in targets.counts]).to(targets.labels.device, non_blocking=True)
    boxes = targets.boxes.new_zeros(*shape, 4).index_put((targets.image, slot), targets.boxes)
    labels = targets.labels.new_zeros(shape).index_put((targets.image, slot), targets.labels)
    valid = torch.zeros_like(labels, dtype=torch.bool).index_put((targets.image, slot), torch.ones_like(slot).bool())
    return boxes, labels, valid


def first_objects(targets: Targets) -> Int[Tensor, " b"]:
    """Where the objects of each image begin."""
    return torch.tensor([0, *targets.counts[:-1]]).cumsum(0).to(targets.labels.device, non_blocking=True)


@torch.no_grad()
def costs(p: Predictions, targets: Targets, matching: Matching) -> dict[str, Float[Tensor, "l b q t"]]:
    """The price of each query for each object of its image, by part and unweighted: class (focal), l1, giou (negated).

    Columns beyond an image's own count are padding. DETR, arXiv 2005.12872; focal form of Deformable DETR.
    """
    boxes, labels, _ = (repeat(x, "b ... -> l b ...", l=len(p.logits)) for x in padded_targets(targets))
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
    away = coordinates_first(matching.coordinates(mine)) - coordinates_first(matching.coordinates(theirs))
    return {"l1": away.abs_().sum(0), "giou": -giou(mine, theirs)}


def weighted_sum(parts: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    (first, total), *rest = parts.items()
    total = weights[first] * total
    for name, part in rest:
        total = total.add(part, alpha=weights[name])
    return total


@torch.no_grad()
def in_chunks(price: Callable[..., Float[Tensor, "n q t"]], *of: Tensor) -> Float[Tensor, "l b q t"]:
    """price(*of) for tensors (l, b, q, ...) of the rows and (l, b, t, ...) of the columns; on the CPU a few images at a
    time.
    """
    (l, b, q), t = of[0].shape[:3], of[-1].shape[2]
    total = torch.empty(l, b, q, t, device=of[0].device)
    step = max(1, IN_CACHE // max(1, q * t)) if of[0].device.type == "cpu" else max(1, l * b)

    @torch.no_grad()  # each thread has a mode of its own
    def fill(piece: tuple[Tensor, ...]) -> None:
        piece[0].copy_(price(*piece[1:]))

    run_chunks(fill, list(zip(*(x.flatten(0, 1).split(step) for x in (total, *of)))))
    return total
