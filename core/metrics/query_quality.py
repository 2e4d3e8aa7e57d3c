"""How good a query is, and of what: Eq. 8 of DETRDistill in its two readings, and their parts.

`assigned` is the loss's: score and IoU with the object that the query answers for, 0 without one. `ranking` is q*, for
figures and correlations: best class score and best IoU with any object of the image, so that every query has one; on an
image without objects every IoU counts as 1.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core.boxes import iou
from core.losses.base import spread
from core.losses.features import best_overlap
from core.types import Targets, Trace

GAMMA = 0.5  # the default of the loss `features`


@dataclass(frozen=True)
class Parts:
    """What the quality of each query is made of."""

    score: Float[Tensor, "l b q"]  # of its best class
    overlap: Float[Tensor, "l b q"]  # best IoU with an object of its image
    assigned_score: Float[Tensor, "l b q"]  # of the class of its object; 0 without one
    assigned_overlap: Float[Tensor, "l b q"]  # IoU with its object; 0 without one

    def ranking(self, gamma: float = GAMMA) -> Float[Tensor, "l b q"]:
        return self.score**gamma * self.overlap ** (1 - gamma)

    def assigned(self, gamma: float = GAMMA) -> Float[Tensor, "l b q"]:
        return self.assigned_score**gamma * self.assigned_overlap ** (1 - gamma)


@torch.no_grad()
def parts(trace: Trace, targets: Targets) -> Parts:
    """Of every layer."""
    p, a = trace.own, trace.assignment
    overlap = best_overlap(rearrange(p.boxes, "l b q k -> b (l q) k"), targets)
    score = p.logits[(*a.index, targets.labels[a.target])].float().sigmoid()
    met = (score, iou(p.boxes[a.index], targets.boxes[a.target]))
    return Parts(
        p.logits.float().amax(-1).sigmoid(),
        rearrange(overlap, "b (l q) -> l b q", l=len(p.logits)),
        *(spread(x, a, like=p.logits) for x in met),
    )
