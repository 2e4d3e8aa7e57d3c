"""Costs of matching queries with objects: class, L1 and GIoU parts, as in DETR (arXiv 2005.12872)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from einops import repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.boxes import coordinates_first, corners, giou
from core.limits import Exponent, Share, Weight
from core.matching.threads import run_chunks
from core.types import Predictions, Targets

IN_CACHE = 2**18  # pairs whose costs the CPU computes at a time, so that intermediate results stay in its cache


@dataclass(frozen=True)
class Matching:
    """Weights and constants of a detector's matching and of its detection loss.

    The loss has the weights of the costs where it has none of its own. `core.losses._class_losses` has the class losses.
    """

    class_weight: Weight = 2.0  # Weight of the class cost and loss.
    l1_weight: Weight = 5.0  # Weight of the L1 cost and loss of boxes.
    giou_weight: Weight = 2.0  # Weight of the GIoU cost and loss of boxes.
    alpha: Share = 0.25  # Weight of positives in the focal cost and loss.
    gamma: Exponent = 2.0  # Exponent of the focal cost and loss.
    eps: Share = 1e-8  # Small number inside the logarithms of the class cost.
    box: Literal["cxcywh", "xyxy"] = "cxcywh"  # Coordinates in which the L1 distance of boxes is taken.
    class_cost: Literal["focal", "score"] = "focal"  # Class cost: the focal one, or DETR's, which is minus the score.
    class_loss: Literal["focal", "vfl", "mal", "ia_bce", "softmax"] = "focal"  # Class loss of queries and proposals.
    loss_alpha: Share | None = None  # Alpha of the class loss; None takes its paper's, and for focal the cost's.
    loss_gamma: Exponent | None = None  # Gamma of the class loss; None takes its paper's, and for focal the cost's.
    no_object: Weight = 0.1  # Weight of an unmatched query in the class loss softmax.
    class_loss_weight: Weight | None = None  # Weight of the class loss; None takes that of the cost.
    l1_loss_weight: Weight | None = None  # Weight of the L1 loss of boxes; None takes that of the cost.
    giou_loss_weight: Weight | None = None  # Weight of the GIoU loss of boxes; None takes that of the cost.
    fgl_weight: Weight = 0.0  # Weight of the fine-grained localisation loss, for D-FINE and DEIMv2; 0 is off.
    ddf_weight: Weight = 0.0  # Weight of the self-distillation of the layers' boxes, for D-FINE and DEIMv2; 0 is off.
    union: bool = False  # Compare boxes in the union of the matchings of all layers, for D-FINE and DEIMv2.

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each part of the cost, by the part's name."""
        return {"class": self.class_weight, "l1": self.l1_weight, "giou": self.giou_weight}

    @property
    def loss_weights(self) -> dict[str, float]:
        """The weight of each term of the detection loss, by the term's name."""
        own = {"class": self.class_loss_weight, "l1": self.l1_loss_weight, "giou": self.giou_loss_weight}
        return self.weights | {name: weight for name, weight in own.items() if weight is not None}

    @property
    def bin_weights(self) -> dict[str, float]:
        """The weight of each loss of D-FINE's bins that is on, by its name."""
        weights = {"fgl": self.fgl_weight, "ddf": self.ddf_weight}
        return {name: weight for name, weight in weights.items() if weight}

    def coordinates(self, boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
        """Boxes (cx, cy, w, h) in float32, in the coordinates between which the L1 distance is taken."""
        return corners(boxes.float()) if self.box == "xyxy" else boxes.float()


def padded_targets(targets: Targets) -> tuple[Float[Tensor, "b t 4"], Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
    """Boxes, labels and validity of the objects of each image, padded with zeros to the largest count t."""
    shape = (len(targets.counts), max(targets.counts, default=0))
    slot = torch.cat([torch.arange(n) for n in targets.counts]).to(targets.labels.device, non_blocking=True)
    boxes = targets.boxes.new_zeros(*shape, 4).index_put((targets.image, slot), targets.boxes)
    labels = targets.labels.new_zeros(shape).index_put((targets.image, slot), targets.labels)
    valid = torch.zeros_like(labels, dtype=torch.bool).index_put((targets.image, slot), torch.ones_like(slot).bool())
    return boxes, labels, valid


def first_objects(targets: Targets) -> Int[Tensor, " b"]:
    """The index of each image's first object in the flat list of targets."""
    return torch.tensor([0, *targets.counts[:-1]]).cumsum(0).to(targets.labels.device, non_blocking=True)


@torch.no_grad()
def costs(p: Predictions, targets: Targets, matching: Matching) -> dict[str, Float[Tensor, "l b q t"]]:
    """The cost of each query with each object of its image, by part and unweighted: class, l1, giou (negated).

    Columns beyond an image's own count are padding. DETR, arXiv 2005.12872; the focal class cost is Deformable DETR's.
    """
    boxes, labels, _ = (repeat(x, "b ... -> l b ...", l=len(p.logits)) for x in padded_targets(targets))
    return pair_costs(p.logits, p.boxes, labels, boxes, matching)


def pair_costs(
    logits: Float[Tensor, "*n q c"],
    boxes: Float[Tensor, "*n q 4"],
    labels: Int[Tensor, "*n t"],
    object_boxes: Float[Tensor, "*n t 4"],
    matching: Matching,
) -> dict[str, Float[Tensor, "*n q t"]]:
    """The cost of each query (logits, boxes) with each object (labels, object_boxes), by part and unweighted."""
    return {"class": class_costs(logits, labels, matching)} | box_costs(boxes, object_boxes, matching)


def class_costs(
    logits: Float[Tensor, "*n q c"], labels: Int[Tensor, "*n t"], matching: Matching
) -> Float[Tensor, "*n q t"]:
    """The class cost of each query with each object.

    Computed for every class or for every object, whichever are fewer.
    """
    columns = repeat(labels, "... t -> ... q t", q=logits.shape[-2])
    if labels.shape[-1] < logits.shape[-1]:
        return label_costs(logits.gather(-1, columns).float(), matching)
    return label_costs(logits.float(), matching).gather(-1, columns)


def label_costs(logits: Float[Tensor, "*n c"], matching: Matching) -> Float[Tensor, "*n c"]:
    """The cost of giving a query a label, for each label: the focal cost, or minus the score (DETR)."""
    return -logits.sigmoid() if matching.class_cost == "score" else focal_cost(logits, matching)


def focal_cost(logits: Float[Tensor, "*n c"], matching: Matching) -> Float[Tensor, "*n c"]:
    """The cost of giving a query a label: the focal loss of a positive less that of a negative (Deformable DETR)."""
    p = logits.sigmoid()
    negative = (1 - matching.alpha) * p**matching.gamma * -(1 - p + matching.eps).log()
    positive = matching.alpha * (1 - p) ** matching.gamma * -(p + matching.eps).log()
    return positive - negative


@torch.no_grad()
def box_costs(
    boxes: Float[Tensor, "*n q 4"], object_boxes: Float[Tensor, "*n t 4"], matching: Matching
) -> dict[str, Float[Tensor, "*n q t"]]:
    """L1 distance and negated GIoU of every pair."""
    rows, columns = boxes[..., :, None, :], object_boxes[..., None, :, :]
    difference = coordinates_first(matching.coordinates(rows)) - coordinates_first(matching.coordinates(columns))
    return {"l1": difference.abs_().sum(0), "giou": -giou(rows, columns)}


def weighted_sum(parts: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The sum of the parts, each times its weight, added up in the order of `parts`."""
    (first, part), *rest = parts.items()
    total = weights[first] * part
    for name, part in rest:
        total = total.add(part, alpha=weights[name])
    return total


@torch.no_grad()
def in_chunks(cost: Callable[..., Float[Tensor, "n q t"]], *tensors: Tensor) -> Float[Tensor, "l b q t"]:
    """cost(*tensors), computed for a few images at a time on the CPU.

    The first tensor is (l, b, q, ...) and the last (l, b, t, ...); `cost` gets all of them with l and b as one axis.
    """
    (l, b, q), t = tensors[0].shape[:3], tensors[-1].shape[2]
    total = torch.empty(l, b, q, t, device=tensors[0].device)
    step = max(1, IN_CACHE // max(1, q * t)) if tensors[0].device.type == "cpu" else max(1, l * b)
    run_chunks(partial(fill, cost), list(zip(*(x.flatten(0, 1).split(step) for x in (total, *tensors)))))
    return total


@torch.no_grad()  # torch's gradient mode is set for each thread
def fill(cost: Callable[..., Tensor], piece: tuple[Tensor, ...]) -> None:
    """Fills the first tensor of the piece with the costs of the others."""
    piece[0].copy_(cost(*piece[1:]))
