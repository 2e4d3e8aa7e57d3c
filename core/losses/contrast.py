"""Contrast: a student's query is to be known among all of them by the teacher's query that it was matched with.

In the release of DETRDistill (BIVLab-USTC/DETRDistill, `MoCoCLHead`) but not in its paper: InfoNCE over the pairs of one
matching of all queries, stage by stage. With z the queries after a projection, of each detector its own, of length 1:

    -log softmax_j(z_T_i z_S_j / 0.07) at j = i        the mean over the pairs i of a stage

times 0.2, summed over stages. One direction only: j runs over the student's queries. Who is matched with whom is the
release's matching, that of the loss `logits` with `match` "all"; students without a partner (where the teacher has fewer
queries) are left out. The projection, shared by the stages, has BatchNorm, whose statistics are of the pairs of a stage. A
single pair has nothing to be told from, and no loss.

Both j and BatchNorm see the images at hand, as in the release: with several processes or passes they are a part of the
step's, and such parts do not add up to what one process would find.

The loss is at its least where partners agree and others do not, as the projection has learnt; that is not quite 0, and no
student is there before.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from core.losses import logits
from core.losses._layer_mapping import LayerMapping
from core.losses.base import Loss, require_teacher, scatter_to_queries
from core.types import Outcome

WEIGHT = 0.2


@dataclass(frozen=True)
class Config:
    weight: float = 0.0  # Weight of the whole loss; 0 leaves it out.
    temperature: float = 0.07  # Temperature of InfoNCE.
    width: int = 512  # Width of the projection.
    class_weight: float | None = 1.0  # Weight of the class cost in matching; None takes the student's own.
    clamp: bool = True  # Clip the teacher's boxes to the image before matching.
    stages: LayerMapping = "each"  # Layer pairs: each layer with its own; only the last two; or all with the last.


class Model(Loss):
    least, adds_up = "learnt", False

    def __init__(self, config: Config, student, teacher):
        super().__init__()
        require_teacher("contrast", teacher)
        logits.refuse_other_classes("contrast", student, teacher)
        options = {key: getattr(config, key) for key in ("class_weight", "clamp", "stages")}
        self.matched = logits.Model(logits.Config(match="all", **options), student, teacher)
        self.temperature, self.weights = config.temperature, {"contrast": WEIGHT}
        self.mine, self.theirs = (projection(x.width, config.width) for x in (student, teacher))

    def problems(self, student, teacher, targets):
        return {"contrast": self.matched.problems(student, teacher, targets)["all"]}

    def forward(self, student, teacher, targets, pairs):
        stages = self.matched.stages
        met, layers = stages.with_layers(pairs["contrast"]), len(stages)
        parts = [met.of_layer(layer, layers=layers) for layer in range(layers)]
        values = torch.cat([self.compare(student.own.hidden[a.index], teacher.own.hidden[a.other]) for a in parts])
        queries = student.own.logits.shape[2], teacher.own.logits.shape[2]
        values = values * self.matched.scale(pairs["contrast"], targets, "all", queries)
        return Outcome({"contrast": scatter_to_queries(values, met, like=student.own.logits)}, {"contrast": met})

    def compare(self, mine: Float[Tensor, "m d"], theirs: Float[Tensor, "m e"]) -> Float[Tensor, " m"]:
        if len(mine) < 2:
            return mine.new_zeros(len(mine), dtype=torch.float32)
        z, t = F.normalize(self.mine(mine.float())), F.normalize(self.theirs(theirs.float()))
        which = torch.arange(len(mine), device=mine.device)
        return F.cross_entropy(t @ z.mT / self.temperature, which, reduction="none")


def projection(width: int, wide: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, wide), nn.Linear(wide, wide), nn.BatchNorm1d(wide), nn.ReLU(), nn.Linear(wide, wide)
    )
