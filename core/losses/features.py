"""Target-aware feature distillation: imitate the teacher's features at the places to which its good queries attend.

DETRDistill, arXiv 2211.10156, Eq. 8 (quality q_i of a query) and Eq. 9. The sum of Eq. 9 over M queries is taken once, as a
weight W of each place:

    1/(dHW) sum_hw W ||F_T - phi(F_S)||^2    with    W = 1/M sum_i q_i psi_i^2

The paper leaves open, and these are the choices here: gamma; the form of phi (a 1x1 convolution for each level); the quality of
a query without an assigned object (0); the scale of the mask; several levels (their mean). Padding is never read.

Its release merges the masks first (`combine` "merged"). If no query attends anywhere, that mask is 1 everywhere, and the loss
is plain imitation of the whole map, where Eq. 9 is 0.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.boxes import iou
from core.errors import UserError
from core.limits import Count, Share, Weight
from core.losses._imitation import Imitation, Level, Source
from core.losses.base import DetectorSpec, Loss, normaliser, require_teacher
from core.matching.costs import padded_targets
from core.types import Assignment, Outcome, Targets, Trace

Mask = Literal["cosine", "signed", "inner"]
Combine = Literal["each", "naive", "merged"]
Scale = Literal["mean", "none"]
FLOOR = 0.01  # least value of the release's merged mask, before it is divided by its maximum


@dataclass(frozen=True)
class Config:
    """Choices that the paper leaves open, and those of its release; the defaults are Eq. 8 and 9."""

    weight: Weight = 0.0  # Weight of the whole loss; 0 leaves it out.
    combine: Combine = "each"  # Combination of masks: one by one (each, Eq. 9), mean (naive, Eq. 7), or sum (merged).
    quality: Literal["assigned", "product"] = "assigned"  # Quality by Eq. 8 (assigned), or score x best IoU (product).
    gamma: Share = 0.5  # Exponent of the score in Eq. 8; that of the IoU is 1 - gamma.
    top: Count | None = None  # Number of (query, class) pairs to use, by score; None takes every query.
    mask: Mask = "cosine"  # Similarity of query and place: cosine, 0 if negative; cosine; or inner product (Eq. 7).
    scale: Scale = "mean"  # Divide the mask by its mean over valid places, or use it as printed.
    levels: Literal["mean", "sum"] = "mean"  # Mean or sum over the levels of the feature maps.
    stages: Literal["last", "all"] = "last"  # Decoder layers of the teacher whose queries make the masks.
    source: Source = "encoder"  # Features to imitate: the encoder's (the neck's if there is no encoder), or the neck's.
    adapter: bool = True  # Map the student's channels to the teacher's; without it, widths must agree.


class Model(Loss):
    """Eq. 9 on every level. Weights: `imitation.adapters`, phi of each level."""

    reads: tuple[str, ...] = ("memory", "hidden")

    def __init__(self, config: Config, student: DetectorSpec, teacher: DetectorSpec | None):
        super().__init__()
        teacher = require_teacher("features", teacher)
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
        self.layers = range(first, teacher.config.layers)  # teacher layers whose queries make the masks

    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        assert teacher is not None
        queries = [self.queries_and_quality(teacher, targets, layer) for layer in self.layers]
        maps = {}
        for name, level in zip(self.weights, self.imitation(student.memory, teacher.memory)):
            weight = torch.stack([self.place_weight(level, hidden, q) for hidden, q in queries])
            divisor = level.valid_places * normaliser(targets, torch.ones_like)
            divisor = divisor * len(self.weights) if self.config.levels == "mean" else divisor
            maps[name] = weight * (level.squared_error / divisor)
        return Outcome(maps)

    @torch.no_grad()
    def queries_and_quality(
        self, teacher: Trace, targets: Targets, layer: int
    ) -> tuple[Float[Tensor, "b m d"], Float[Tensor, "b m"]]:
        """Hidden vectors of the teacher's queries that make the masks in a layer, and the quality of each."""
        query, score = top_queries(teacher.own.logits[layer], self.config.top)
        if self.config.quality == "assigned":
            q = assigned_quality(teacher, targets, self.config.gamma, layer).gather(1, query)
        else:
            q = score * best_iou(teacher.own.boxes[layer], targets).gather(1, query)
        hidden = teacher.own.hidden[layer]
        return hidden.gather(1, repeat(query, "b m -> b m d", d=hidden.shape[-1])), q

    def place_weight(
        self, level: Level, queries: Float[Tensor, "b m d"], q: Float[Tensor, "b m"]
    ) -> Float[Tensor, "b h w"]:
        """W of each place of a level, with the options of this loss."""
        config = self.config
        return feature_weight(
            level.teacher, queries, q, level.valid, mask=config.mask, combine=config.combine, scale=config.scale
        )


@torch.no_grad()
def feature_weight(
    memory: Float[Tensor, "b d h w"],
    queries: Float[Tensor, "b q d"],
    q: Float[Tensor, "b q"],
    valid: Bool[Tensor, "b h w"],
    *,
    mask: Mask,
    combine: Combine,
    scale: Scale,
) -> Float[Tensor, "b h w"]:
    """W of each place, from the teacher's features F_T, its queries Q and their quality q (Eq. 7 and 9); has no gradient."""
    psi = similarity_masks(memory, queries, mask)
    return combine_masks(psi, q, valid, combine=combine, scale=scale)


def similarity_masks(
    memory: Float[Tensor, "b d h w"], queries: Float[Tensor, "b q d"], mask: Mask
) -> Float[Tensor, "b q h w"]:
    """psi_i of Eq. 7: similarity of the features of each place with each query.

    `inner` is the paper's inner product, `signed` its cosine, `cosine` the cosine with negative values set to 0.
    """
    memory, queries = memory.float(), queries.float()
    if mask == "inner":
        return einsum(memory, queries, "b d h w, b q d -> b q h w")
    psi = einsum(memory, F.normalize(queries, dim=2), "b d h w, b q d -> b q h w")
    length = memory.pow(2).sum(1, keepdim=True).sqrt()  # divides psi, not memory: there are fewer queries than channels
    psi = psi / length.clamp(min=torch.finfo(length.dtype).tiny)
    return psi.clamp(min=0) if mask == "cosine" else psi


def combine_masks(
    psi: Float[Tensor, "b q h w"],
    q: Float[Tensor, "b q"],
    valid: Bool[Tensor, "b h w"],
    *,
    combine: Combine,
    scale: Scale,
) -> Float[Tensor, "b h w"]:
    """W from the masks of all queries; `scale` "mean" divides it by its mean over the valid places of the image."""
    weight = COMBINE[combine](psi, q, valid)
    if scale == "none":
        return weight
    places = valid.sum((-2, -1), keepdim=True).clamp(min=1)
    mean = (weight * valid).sum((-2, -1), keepdim=True) / places
    return weight / mean.clamp(min=torch.finfo(weight.dtype).tiny)


def quality_weighted(
    psi: Float[Tensor, "b q h w"], q: Float[Tensor, "b q"], valid: Bool[Tensor, "b h w"]
) -> Float[Tensor, "b h w"]:
    """W of Eq. 9: 1/M sum_i q_i psi_i^2."""
    return einsum(q, psi.pow(2), "b q, b q h w -> b h w") / psi.shape[1]


def mean_mask(
    psi: Float[Tensor, "b q h w"], q: Float[Tensor, "b q"], valid: Bool[Tensor, "b h w"]
) -> Float[Tensor, "b h w"]:
    """W of Eq. 6 with the mask of Eq. 7: (1/M sum_i psi_i)^2; quality has no influence."""
    return psi.mean(1).pow(2)


def merged_mask(
    psi: Float[Tensor, "b q h w"], q: Float[Tensor, "b q"], valid: Bool[Tensor, "b h w"]
) -> Float[Tensor, "b h w"]:
    """W of the release: (sum_i q_i psi_i, at least FLOOR, divided by its maximum)^2."""
    mask = einsum(q, psi, "b q, b q h w -> b h w").masked_fill(~valid, 0).clamp(min=FLOOR)
    return (mask / mask.amax((-2, -1), keepdim=True)).pow(2)


COMBINE = {"each": quality_weighted, "naive": mean_mask, "merged": merged_mask}


def top_queries(logits: Float[Tensor, "b q c"], top: int | None) -> tuple[Int[Tensor, "b m"], Float[Tensor, "b m"]]:
    """Indices and scores of the queries that make the masks.

    With `top` None: every query, with the score of its best class. Otherwise the `top` (query, class) pairs of the highest
    score, so that a query may occur several times.
    """
    scores = logits.float().sigmoid()
    if top is None:
        every = torch.arange(scores.shape[1], device=scores.device)
        return repeat(every, "q -> b q", b=len(scores)), scores.amax(-1)
    value, index = scores.flatten(1).topk(min(top, scores[0].numel()))
    return index // scores.shape[-1], value


def quality(score: Any, overlap: Any, gamma: float) -> Any:
    """q of Eq. 8: score^gamma x IoU^(1 - gamma), elementwise, for tensors, arrays or columns of a table."""
    return score**gamma * overlap ** (1 - gamma)


@torch.no_grad()
def assigned_quality(teacher: Trace, targets: Targets, gamma: float, layer: int = -1) -> Float[Tensor, "b q"]:
    """q of Eq. 8 with the object that is assigned to each query in a layer; 0 for a query without one."""
    p, layers = teacher.own, len(teacher.own.logits)
    a = teacher.assignment.of_layer(layer % layers, layers=layers)
    score = p.logits[(*a.index, targets.labels[a.target])].float().sigmoid()
    q = quality(score, iou(p.boxes[a.index], targets.boxes[a.target]), gamma)
    return torch.zeros_like(p.logits[0, ..., 0], dtype=torch.float32).index_put((a.image, a.query), q)


@torch.no_grad()
def best_iou(boxes: Float[Tensor, "b q 4"], targets: Targets) -> Float[Tensor, "b q"]:
    """The highest IoU of each box with an object of its image, of whatever class; 1 in an image without objects."""
    true, _, valid = padded_targets(targets)
    if not valid.shape[1]:
        return torch.ones_like(boxes[..., 0], dtype=torch.float32)
    overlap = iou(rearrange(boxes, "b q k -> b q 1 k"), rearrange(true, "b t k -> b 1 t k"))
    best = overlap.masked_fill(rearrange(~valid, "b t -> b 1 t"), 0).amax(-1)
    return best.masked_fill(rearrange(~valid.any(1), "b -> b 1"), 1)
