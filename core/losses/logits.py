"""Hungarian-matching logits distillation: the teacher's predictions are targets, stage by stage.

DETRDistill, arXiv 2211.10156, Eq. 3 (positives: teacher queries that answer for an object) and Eq. 4 (negatives: all
others, matched among the students left over and compared by box alone). The paper leaves open how positives are chosen,
which class loss is taken and how the sums are normalised; here: the teacher's own matching to the truth, cross-entropy
with the teacher's sigmoid scores, and `normalise`.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from core.boxes import giou
from core.errors import UserError
from core.losses.base import Loss, need_teacher, per_process, spread
from core.matching import box_costs, weighted
from core.types import Assignment, Outcome, Predictions, Problem


@dataclass(frozen=True)
class Config:
    weight: float = 0.0
    normalise: Literal["pairs", "sum"] = (
        "pairs"  # by the pairs of a stage in the global batch; or Eq. 3 and 4 as printed
    )
    subtract_entropy: bool = True  # report the class term as a divergence, 0 where student and teacher agree


class Model(Loss):
    def __init__(self, config: Config, student, teacher):
        super().__init__()
        need_teacher("logits", teacher)
        refuse_unequal(student, teacher)
        self.config, self.matching = config, student.matching
        box = {"l1": self.matching.l1_weight, "giou": self.matching.giou_weight}
        self.weights = {"positive_class": self.matching.class_weight}
        self.weights |= {f"{kind}_{part}": w for kind in ("positive", "negative") for part, w in box.items()}

    @torch.no_grad()
    def problems(self, student, teacher, targets):
        s, t = student.own, teacher.own
        box = box_costs(s.boxes, t.boxes, self.matching)
        place = weighted(box, self.matching.weights)
        price = place + self.matching.class_weight * class_cost(s.logits.float(), t.logits.float())
        found = answering(t, teacher.assignment)
        return {"positive": Problem(price, found), "negative": Problem(place, ~found, without=("positive",))}

    def forward(self, student, teacher, targets, pairs):
        s, t = student.own, teacher.own
        positive = pairs["positive"]
        soft = cross_entropy(s.logits[positive.index].float(), t.logits[positive.other].float())
        if self.config.subtract_entropy:
            soft = soft - entropy(t.logits[positive.other].float())
        values = {"positive_class": (soft, positive)}
        for kind, a in pairs.items():
            mine, theirs = s.boxes[a.index], t.boxes[a.other]
            distance = self.matching.coordinates(mine) - self.matching.coordinates(theirs)
            values[f"{kind}_l1"] = distance.abs().sum(-1), a
            values[f"{kind}_giou"] = 1 - giou(mine, theirs), a
        maps = {name: spread(v / self.count(a, s), a, like=s.logits) for name, (v, a) in values.items()}
        return Outcome(maps, pairs)

    def count(self, a: Assignment, p: Predictions) -> Float[Tensor, ""]:
        """What a stage's sum is divided by."""
        return per_process(len(a) / len(p.logits) if self.config.normalise == "pairs" else 1, p.logits)


def refuse_unequal(student, teacher) -> None:
    for what in ("layers", "classes"):
        mine, theirs = getattr(student.config, what), getattr(teacher.config, what)
        if mine != theirs:
            raise UserError(
                f"the loss 'logits' needs as many {what} in the student ({mine}) as in the teacher ({theirs}): "
                f"change --student.{what}, or set --losses.logits.weight 0"
            )


def answering(p: Predictions, a: Assignment) -> Bool[Tensor, "l b q"]:
    """Which queries answer for an object."""
    one = torch.ones((), dtype=torch.bool, device=p.logits.device)
    return torch.zeros_like(p.logits[..., 0], dtype=torch.bool).index_put(a.index, one)


def class_cost(mine: Float[Tensor, "l b q c"], theirs: Float[Tensor, "l b t c"]) -> Float[Tensor, "l b q t"]:
    """Divergence of every pair: without the teacher's entropy no teacher query is preferred for being unsure."""
    chance = theirs.sigmoid()
    surprise = F.softplus(mine).sum(-1)[..., :, None] - mine @ chance.mT
    return surprise - entropy(theirs)[..., None, :]


def cross_entropy(mine: Float[Tensor, "*n c"], theirs: Float[Tensor, "*n c"]) -> Float[Tensor, "*n"]:
    """Of the student's sigmoid scores under the teacher's, summed over classes."""
    return F.binary_cross_entropy_with_logits(mine, theirs.sigmoid(), reduction="none").sum(-1)


def entropy(logits: Float[Tensor, "*n c"]) -> Float[Tensor, "*n"]:
    return cross_entropy(logits, logits)
