"""The set loss of DETR: classify every query, place those that answer for an object."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from core.boxes import giou
from core.losses.base import Loss, normaliser, scatter_to_queries
from core.matching.costs import Matching
from core.matching.solving import truth_problem
from core.types import Assignment, Outcome, Predictions, Targets


@dataclass(frozen=True)
class Config:
    weight: float = 1.0  # Weight of the whole loss; 0 leaves it out.


class Model(Loss):
    """Where the student's queries are proposals of its encoder, those are matched and trained too, as of one class.

    Deformable DETR, models/deformable_detr.py: the encoder's loss, with every label 0.
    """

    least = "truth"

    def __init__(self, config: Config, student, teacher):
        super().__init__()
        self.matching, self.proposes = student.matching, student.proposes
        self.weights = dict(self.matching.weights)
        if self.proposes:
            self.weights |= {f"proposal_{name}": w for name, w in self.matching.weights.items()}

    def problems(self, student, teacher, targets):
        if not self.proposes:
            return {}
        return {"proposal": truth_problem(student.queries["own"].proposals, of_one_class(targets), self.matching)}

    def forward(self, student, teacher, targets, pairs):
        maps, found = set_loss(student.own, targets, student.assignment, self.matching), {"truth": student.assignment}
        if self.proposes:
            found["proposal"] = pairs["proposal"]
            proposals = student.queries["own"].proposals
            more = set_loss(proposals, of_one_class(targets), found["proposal"], self.matching)
            maps |= {f"proposal_{name}": x for name, x in more.items()}
        return Outcome(maps, found)


def of_one_class(targets: Targets) -> Targets:
    return replace(targets, labels=torch.zeros_like(targets.labels))


def set_loss(p: Predictions, targets: Targets, a: Assignment, m: Matching) -> dict[str, Float[Tensor, "l b q"]]:
    """Focal class loss of every query, L1 and 1 - GIoU of the assigned ones, each divided by the number of objects.

    The number is that of the whole step, at least 1, as its mean over processes (Deformable DETR, models/deformable_detr.py).
    """
    n = normaliser(targets)
    mine, true = p.boxes[a.index], targets.boxes[a.target]
    distance = (m.coordinates(mine) - m.coordinates(true)).abs().sum(-1)
    return {
        "class": focal_loss(p.logits.float(), class_targets(p, targets, a), m) / n,
        "l1": scatter_to_queries(distance / n, a, like=p.logits),
        "giou": scatter_to_queries((1 - giou(mine, true)) / n, a, like=p.logits),
    }


def class_targets(p: Predictions, targets: Targets, a: Assignment) -> Float[Tensor, "l b q c"]:
    """1 at the class of the object a query answers for, 0 elsewhere: background is all zeros."""
    one = torch.ones((), device=p.logits.device)
    return torch.zeros_like(p.logits, dtype=torch.float32).index_put((*a.index, targets.labels[a.target]), one)


def focal_loss(logits: Float[Tensor, "*n c"], want: Float[Tensor, "*n c"], m: Matching) -> Float[Tensor, "*n"]:
    """Sigmoid focal loss summed over classes (Lin et al., ICCV 2017)."""
    chance = logits.sigmoid()
    miss = want * (1 - chance) + (1 - want) * chance
    balance = want * m.alpha + (1 - want) * (1 - m.alpha)
    entropy = F.binary_cross_entropy_with_logits(logits, want, reduction="none")
    return (balance * miss**m.gamma * entropy).sum(-1)
