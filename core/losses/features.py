"""Target-aware feature distillation: imitate the teacher's features where its good queries look.

DETRDistill, arXiv 2211.10156, Eq. 8 (quality) and Eq. 9 (the sum over queries, taken once as a weight of each place:
1/(dHW) sum_hw W ||F_T - phi(F_S)||^2 with W = 1/M sum_i q_i psi_i^2). Left open by the paper, and stated here:
gamma, the form of phi (a 1x1 convolution for each level), quality without an assigned object (0), the scale of the
mask, several levels (their mean). Padding is never read.

Its release merges the masks first (`combine` "merged"): with nothing to look at that mask is 1 everywhere, and the loss
is plain imitation of the whole map, where Eq. 9 is 0.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.boxes import iou
from core.errors import UserError
from core.losses._imitation import Imitation, Level, Source
from core.losses.base import Loss, normaliser, require_teacher
from core.matching.costs import padded_targets
from core.types import Outcome, Targets, Trace

Mask = Literal["cosine", "signed", "inner"]
Combine = Literal["each", "naive", "merged"]
FLOOR = 0.01  # of the merged mask


@dataclass(frozen=True)
class Config:
    weight: float = 0.0  # Weight of the whole loss; 0 leaves it out.
    combine: Combine = "each"  # Combination of masks: one by one (each, Eq. 9), mean (naive, Eq. 7), or sum (merged).
    quality: Literal["assigned", "product"] = "assigned"  # Quality by Eq. 8 (assigned), or score x best IoU (product).
    gamma: float = 0.5  # Exponent of the score in Eq. 8; that of the IoU is 1 - gamma.
    top: int | None = None  # Number of (query, class) pairs to use, by score; None takes every query.
    mask: Mask = "cosine"  # Similarity of query and place: cosine, 0 if negative; cosine; or inner product (Eq. 7).
    scale: Literal["mean", "none"] = "mean"  # Divide the mask by its mean over valid places, or use it as printed.
    levels: Literal["mean", "sum"] = "mean"  # Mean or sum over the levels of the feature maps.
    stages: Literal["last", "all"] = "last"  # Decoder layers of the teacher whose queries make the masks.
    source: Source = "encoder"  # Features to imitate: the encoder's (the neck's if there is no encoder), or the neck's.
    adapter: bool = True  # Map the student's channels to the teacher's; without it, widths must agree.


class Model(Loss):
    def __init__(self, config: Config, student, teacher):
        super().__init__()
        require_teacher("features", teacher)
        if not config.adapter and student.width != teacher.width:
            raise UserError(
                f"the loss 'features' cannot compare a student of width {student.width} with a teacher of width "
                f"{teacher.width} without its adapter: set --losses.features.adapter"
            )
        self.config = config
        self.imitation = Imitation(student, teacher, source=config.source, adapter=config.adapter)
        self.weights = dict.fromkeys(self.imitation.names, 1.0)
        self.notes = self.imitation.notes
        first = teacher.config.layers - 1 if config.stages == "last" else 0
        self.stages = range(first, teacher.config.layers)

    def forward(self, student, teacher, targets, pairs):
        looks, maps = [self.lookers(teacher, targets, stage) for stage in self.stages], {}
        for name, level in zip(self.weights, self.imitation(student.memory, teacher.memory)):
            weight = torch.stack([self.look(level, queries, q) for queries, q in looks])
            each = level.places * normaliser(targets, torch.ones_like)
            each = each * len(self.weights) if self.config.levels == "mean" else each
            maps[name] = weight * (level.gap / each)
        return Outcome(maps)

    @torch.no_grad()
    def lookers(self, teacher: Trace, targets: Targets, layer: int) -> tuple[Tensor, Tensor]:
        """The teacher's queries that look, "b m d", and the quality of each, "b m"."""
        query, score = top_queries(teacher.own.logits[layer], self.config.top)
        if self.config.quality == "assigned":
            value = assigned_quality(teacher, targets, self.config.gamma, layer).gather(1, query)
        else:
            value = score * best_iou(teacher.own.boxes[layer], targets).gather(1, query)
        hidden = teacher.own.hidden[layer]
        return hidden.gather(1, repeat(query, "b m -> b m d", d=hidden.shape[-1])), value

    def look(self, level: Level, queries: Float[Tensor, "b m d"], q: Float[Tensor, "b m"]) -> Float[Tensor, "b h w"]:
        how = {name: getattr(self.config, name) for name in ("mask", "combine", "scale")}
        return feature_weight(level.teacher, queries, q, level.valid, **how)


@torch.no_grad()
def feature_weight(
    memory: Float[Tensor, "b d h w"],
    queries: Float[Tensor, "b q d"],
    q: Float[Tensor, "b q"],
    valid: Bool[Tensor, "b h w"],
    *,
    mask: Mask,
    combine: Combine,
    scale: str,
) -> Float[Tensor, "b h w"]:
    """W: where the queries look, weighted by their quality. No gradient: it is the teacher's alone."""
    return combine_masks(masks(memory, queries, mask), q, valid, combine=combine, scale=scale)


def combine_masks(
    psi: Float[Tensor, "b q h w"],
    q: Float[Tensor, "b q"],
    valid: Bool[Tensor, "b h w"],
    *,
    combine: Combine,
    scale: str,
) -> Float[Tensor, "b h w"]:
    weight = COMBINE[combine](psi, q, valid)
    if scale == "none":
        return weight
    places = valid.sum((-2, -1), keepdim=True).clamp(min=1)
    mean = (weight * valid).sum((-2, -1), keepdim=True) / places
    return weight / mean.clamp(min=torch.finfo(weight.dtype).tiny)


def masks(memory: Float[Tensor, "b d h w"], queries: Float[Tensor, "b q d"], mask: Mask) -> Float[Tensor, "b q h w"]:
    """psi of each query (Eq. 7)."""
    memory, queries = memory.float(), queries.float()
    if mask == "inner":
        return einsum(memory, queries, "b d h w, b q d -> b q h w")
    psi = einsum(memory, F.normalize(queries, dim=2), "b d h w, b q d -> b q h w")
    length = memory.pow(2).sum(1, keepdim=True).sqrt()  # divided by last: queries are fewer than channels
    psi = psi / length.clamp(min=torch.finfo(length.dtype).tiny)
    return psi.clamp(min=0) if mask == "cosine" else psi


def each(psi: Float[Tensor, "b q h w"], q: Float[Tensor, "b q"], valid: Bool[Tensor, "b h w"]) -> Tensor:
    """W of Eq. 9."""
    return einsum(q, psi.pow(2), "b q, b q h w -> b h w") / psi.shape[1]


def naive(psi: Float[Tensor, "b q h w"], q: Float[Tensor, "b q"], valid: Bool[Tensor, "b h w"]) -> Tensor:
    """The square of Eq. 7, which knows no quality."""
    return psi.mean(1).pow(2)


def merged(psi: Float[Tensor, "b q h w"], q: Float[Tensor, "b q"], valid: Bool[Tensor, "b h w"]) -> Tensor:
    """The square of the release's mask: 1 at its highest place, at least FLOOR before it is scaled."""
    mask = einsum(q, psi, "b q, b q h w -> b h w").masked_fill(~valid, 0).clamp(min=FLOOR)
    return (mask / mask.amax((-2, -1), keepdim=True)).pow(2)


COMBINE = {"each": each, "naive": naive, "merged": merged}


def top_queries(logits: Float[Tensor, "b q c"], top: int | None) -> tuple[Int[Tensor, "b m"], Float[Tensor, "b m"]]:
    """Queries and their scores: each with its best class, or the `top` (query, class) pairs, where one may come twice."""
    scores = logits.float().sigmoid()
    if top is None:
        every = torch.arange(scores.shape[1], device=scores.device)
        return repeat(every, "q -> b q", b=len(scores)), scores.amax(-1)
    value, place = scores.flatten(1).topk(min(top, scores[0].numel()))
    return place // scores.shape[-1], value


def quality(score, overlap, gamma: float):
    """Eq. 8 of DETRDistill: score^gamma x IoU^(1 - gamma), for tensors, arrays or columns of a table."""
    return score**gamma * overlap ** (1 - gamma)


@torch.no_grad()
def assigned_quality(teacher: Trace, targets: Targets, gamma: float, layer: int = -1) -> Float[Tensor, "b q"]:
    """Eq. 8: score^gamma x IoU^(1 - gamma) with the object assigned to a query in that layer, 0 without one."""
    p, a = teacher.own, teacher.assignment
    here = a.of_layer(layer % len(p.logits), layers=len(p.logits))
    score = p.logits[(*here.index, targets.labels[here.target])].float().sigmoid()
    value = quality(score, iou(p.boxes[here.index], targets.boxes[here.target]), gamma)
    return torch.zeros_like(p.logits[0, ..., 0], dtype=torch.float32).index_put((here.image, here.query), value)


@torch.no_grad()
def best_iou(boxes: Float[Tensor, "b q 4"], targets: Targets) -> Float[Tensor, "b q"]:
    """The highest IoU with any object of the image, of whatever class; 1 where it has none."""
    true, _, valid = padded_targets(targets)
    if not valid.shape[1]:
        return torch.ones_like(boxes[..., 0], dtype=torch.float32)
    found = iou(rearrange(boxes, "b q k -> b q 1 k"), rearrange(true, "b t k -> b 1 t k"))
    found = found.masked_fill(rearrange(~valid, "b t -> b 1 t"), 0).amax(-1)
    return found.masked_fill(rearrange(~valid.any(1), "b -> b 1"), 1)
