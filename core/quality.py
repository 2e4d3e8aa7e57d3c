"""How good a query is, and of what: Eq. 8 of DETRDistill in its two readings, and their parts.

`assigned` is the loss's: score and IoU with the object that the query answers for, 0 without one. `ranking` is q*, for
figures and correlations: best class score and best IoU with any object of the image, so that every query has one; on an
image without objects every IoU counts as 1.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.losses.features import best_overlap, quality
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
    """Of every layer. Eq. 8 with gamma 1 is the score alone, and with gamma 0 the IoU."""
    p = trace.own
    overlap = torch.stack([best_overlap(boxes, targets) for boxes in p.boxes])
    each = (
        torch.stack([quality(trace, targets, gamma, layer) for layer in range(len(p.logits))]) for gamma in (1.0, 0.0)
    )
    return Parts(p.logits.float().sigmoid().amax(-1), overlap, *each)
