"""Quality of queries, Eq. 8 of DETRDistill, in two forms.

`assigned` is that of the loss: score and IoU with the object that is assigned to the query, 0 without one. `ranking` is q*, for
figures and correlations: best class score and best IoU with any object of the image, so that every query has a quality; on an
image without objects every IoU counts as 1.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core.boxes import iou
from core.losses.base import scatter_to_queries
from core.losses.features import best_iou, quality
from core.types import Targets, Trace

GAMMA = 0.5  # the default of the loss `features`


@dataclass(frozen=True)
class QualityParts:
    """Scores and IoUs from which the quality of each query is computed."""

    score: Float[Tensor, "l b q"]  # score of its best class
    overlap: Float[Tensor, "l b q"]  # best IoU with an object of its image
    assigned_score: Float[Tensor, "l b q"]  # score of the class of its object; 0 without one
    assigned_overlap: Float[Tensor, "l b q"]  # IoU with its object; 0 without one

    def ranking(self, gamma: float = GAMMA) -> Float[Tensor, "l b q"]:
        """q*: Eq. 8 with the best class and the best object."""
        return quality(self.score, self.overlap, gamma)

    def assigned(self, gamma: float = GAMMA) -> Float[Tensor, "l b q"]:
        """q of the loss: Eq. 8 with the assigned object."""
        return quality(self.assigned_score, self.assigned_overlap, gamma)


@torch.no_grad()
def quality_parts(trace: Trace, targets: Targets) -> QualityParts:
    """Scores and IoUs of a detector's own queries in every layer."""
    p, a = trace.own, trace.assignment
    overlap = best_iou(rearrange(p.boxes, "l b q k -> b (l q) k"), targets)
    assigned_score = p.logits[(*a.index, targets.labels[a.target])].float().sigmoid()
    assigned_overlap = iou(p.boxes[a.index], targets.boxes[a.target])
    return QualityParts(
        p.logits.float().amax(-1).sigmoid(),
        rearrange(overlap, "b (l q) -> l b q", l=len(p.logits)),
        scatter_to_queries(assigned_score, a, like=p.logits),
        scatter_to_queries(assigned_overlap, a, like=p.logits),
    )
