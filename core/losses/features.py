"""Target-aware feature distillation: imitate the teacher's features where its good queries look.

DETRDistill, arXiv 2211.10156, Eq. 8 (quality) and Eq. 9 (the sum over queries, taken once as a weight of each place:
1/(dHW) sum_hw W ||F_T - phi(F_S)||^2 with W = 1/M sum_i q_i psi_i^2). Left open by the paper, and stated here:
gamma, the form of phi (a 1x1 convolution for each level, the identity at first where widths agree), quality without an
assigned object (0), the scale of the mask (`mask`, `scale`), several levels (their mean). Padding is never read.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.boxes import iou
from core.errors import UserError
from core.losses.base import Loss, need_teacher
from core.types import Outcome, Targets, Trace


@dataclass(frozen=True)
class Config:
    weight: float = 0.0
    gamma: float = 0.5  # of Eq. 8
    mask: Literal["cosine", "inner"] = "cosine"  # of query and place: cosine floored at 0; or Eq. 7's inner product
    scale: Literal["mean", "none"] = (
        "mean"  # divide W by its mean over the valid places of an image and level; or as printed
    )
    source: Literal["encoder", "neck"] = "encoder"  # the neck's features where a detector has no encoder
    adapter: bool = True  # phi; without it widths must agree


class Model(Loss):
    def __init__(self, config: Config, student, teacher):
        super().__init__()
        need_teacher("features", teacher)
        if student.strides != teacher.strides:
            raise UserError(
                f"the loss 'features' needs levels of the same strides, but the student has {student.strides} and the "
                f"teacher {teacher.strides}: make them equal, or set --losses.features.weight 0"
            )
        if not config.adapter and student.width != teacher.width:
            raise UserError(
                f"the loss 'features' cannot compare a student of width {student.width} with a teacher of width "
                f"{teacher.width} without its adapter: set --losses.features.adapter"
            )
        self.config, self.strides = config, student.strides
        self.weights = {f"stride{s}": 1.0 for s in self.strides}
        make = adapter if config.adapter else (lambda *_: nn.Identity())
        self.adapters = nn.ModuleList(make(student.width, teacher.width) for _ in self.strides)

    def forward(self, student, teacher, targets, pairs):
        q, queries = quality(teacher, targets, self.config.gamma), teacher.own.hidden[-1]
        mine, theirs = (x.memory.maps(self.config.source) for x in (student, teacher))
        maps = {}
        for stride, adapt, m, t, pad in zip(self.strides, self.adapters, mine, theirs, teacher.memory.padding):
            weight = look(t, queries, q, ~pad, mask=self.config.mask, scale=self.config.scale)
            gap = (t.float() - adapt(m).float()).pow(2).mean(1)
            places = (~pad).sum((-2, -1), keepdim=True) * len(gap) * len(self.strides)
            maps[f"stride{stride}"] = (weight * gap * ~pad / places)[None]
        return Outcome(maps)


def adapter(mine: int, theirs: int) -> nn.Conv2d:
    conv = nn.Conv2d(mine, theirs, 1)
    if mine == theirs:
        nn.init.dirac_(conv.weight)
        nn.init.zeros_(conv.bias)
    return conv


@torch.no_grad()
def look(
    memory: Float[Tensor, "b d h w"],
    queries: Float[Tensor, "b q d"],
    q: Float[Tensor, "b q"],
    valid: Bool[Tensor, "b h w"],
    *,
    mask: str,
    scale: str,
) -> Float[Tensor, "b h w"]:
    """W of Eq. 9: where the queries look, weighted by their quality. No gradient: it is the teacher's alone."""
    psi = masks(memory, queries, mask)
    weight = einsum(q, psi.pow(2), "b q, b q h w -> b h w") / queries.shape[1]
    if scale == "none":
        return weight
    mean = (weight * valid).sum((-2, -1)) / valid.sum((-2, -1)).clamp(min=1)
    return weight / rearrange(mean, "b -> b 1 1").clamp(min=torch.finfo(weight.dtype).tiny)


def masks(memory: Float[Tensor, "b d h w"], queries: Float[Tensor, "b q d"], mask: str) -> Float[Tensor, "b q h w"]:
    """psi of each query (Eq. 7)."""
    memory, queries = memory.float(), queries.float()
    if mask == "cosine":
        memory, queries = F.normalize(memory, dim=1), F.normalize(queries, dim=2)
    psi = einsum(memory, queries, "b d h w, b q d -> b q h w")
    return psi.clamp(min=0) if mask == "cosine" else psi


@torch.no_grad()
def quality(teacher: Trace, targets: Targets, gamma: float) -> Float[Tensor, "b q"]:
    """Eq. 8 for the last stage: score^gamma x IoU^(1 - gamma) with the object assigned to a query, 0 without one."""
    p, a = teacher.own, teacher.assignment
    here = a.of_layer(len(p.logits) - 1, layers=len(p.logits))
    score = p.logits[(*here.index, targets.labels[here.target])].float().sigmoid()
    value = score**gamma * iou(p.boxes[here.index], targets.boxes[here.target]) ** (1 - gamma)
    return torch.zeros_like(p.logits[0, ..., 0], dtype=torch.float32).index_put((here.image, here.query), value)
