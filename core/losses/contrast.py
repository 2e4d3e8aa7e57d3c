"""Contrast: pick out each matched student query among all of them by the teacher query that it is matched with.

In the release of DETRDistill (BIVLab-USTC/DETRDistill, `MoCoCLHead`) but not in its paper: InfoNCE over the pairs of one
matching of all queries, layer by layer. With z the queries after a projection, one for each detector, scaled to length 1:

    -log softmax_j(z_T_i z_S_j / 0.07) at j = i        the mean over the pairs i of a layer

times 0.2, summed over layers. One direction only: j runs over the student's queries. The pairs are the release's matching,
that of the loss `logits` with `match` "all"; student queries without a partner (where the teacher has fewer queries) are left
out. The projections, shared by the layers, have BatchNorm, whose statistics are those of the pairs of a layer. The loss of a
single pair is 0, because there is nothing to contrast it with.

Both j and BatchNorm cover the images of the present batch, as in the release. With several processes or passes that is a
part of the step's images, and the losses of the parts do not add up to that of the whole step.

The loss is lowest if partners agree and other queries do not, as measured by the learnt projections. That minimum is not 0,
and a student that equals the teacher does not reach it before the projections are trained.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from core.limits import Positive, Size, Weight
from core.losses import logits
from core.losses._layer_mapping import LayerMapping
from core.losses.base import DetectorSpec, Loss, require_teacher, scatter_to_queries
from core.types import Assignment, Decoded, Outcome, Problem, Targets, Trace

WEIGHT = 0.2  # of the release


@dataclass(frozen=True)
class Config:
    """Options of the matching, the projections and InfoNCE."""

    weight: Weight = 0.0  # Weight of the whole loss; 0 leaves it out.
    temperature: Positive = 0.07  # Temperature of InfoNCE.
    width: Size = 512  # Width of the projection.
    class_weight: Weight | None = 1.0  # Weight of the class cost in matching; None takes the student's own.
    clamp: bool = True  # Clip the teacher's boxes to the image before matching.
    stages: LayerMapping = "each"  # Layer pairs: each layer with its own; only the last two; or all with the last.


class Model(Loss):
    """InfoNCE between matched queries.

    Weights: `mine` and `theirs`, the projections of the student's and the teacher's queries.
    """

    least, adds_up = "learnt", False
    poses_early = True
    reads: tuple[str, ...] = ("hidden",)

    def __init__(self, config: Config, student: DetectorSpec, teacher: DetectorSpec | None):
        super().__init__()
        teacher = require_teacher("contrast", teacher)
        logits.refuse_other_classes("contrast", student, teacher)
        matching = logits.Config(
            match="all", class_weight=config.class_weight, clamp=config.clamp, stages=config.stages
        )
        self.matcher = logits.Model(matching, student, teacher)
        self.temperature, self.weights = config.temperature, {"contrast": WEIGHT}
        self.mine, self.theirs = (projection(x.width, config.width) for x in (student, teacher))

    def problems(self, student: Trace | Decoded, teacher: Trace | None, targets: Targets) -> dict[str, Problem]:
        return {"contrast": self.matcher.problems(student, teacher, targets)["all"]}

    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        assert teacher is not None
        matched, layers = self.matcher.with_layers(pairs["contrast"]), len(self.matcher.layers)
        by_layer = [matched.of_layer(layer, layers=layers) for layer in range(layers)]
        values = torch.cat([self.info_nce(student.own.hidden[a.index], teacher.own.hidden[a.other]) for a in by_layer])
        queries = student.own.logits.shape[2], teacher.own.logits.shape[2]
        values = values * self.matcher.pair_weight(pairs["contrast"], targets, "all", queries)
        return Outcome(
            {"contrast": scatter_to_queries(values, matched, like=student.own.logits)}, {"contrast": matched}
        )

    def info_nce(self, student: Float[Tensor, "m d"], teacher: Float[Tensor, "m e"]) -> Float[Tensor, " m"]:
        """InfoNCE of each pair of a layer, from the hidden vectors of its queries; 0 if there is only one pair."""
        if len(student) < 2:
            return student.new_zeros(len(student), dtype=torch.float32)
        z_s, z_t = F.normalize(self.mine(student.float())), F.normalize(self.theirs(teacher.float()))
        partner = torch.arange(len(student), device=student.device)
        return F.cross_entropy(z_t @ z_s.mT / self.temperature, partner, reduction="none")


def projection(width: int, hidden: int) -> nn.Sequential:
    """The release's projection head: three linear layers, with BatchNorm and ReLU before the last."""
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.Linear(hidden, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
    )
