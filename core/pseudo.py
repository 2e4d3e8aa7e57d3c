"""Pseudo truth: confident predictions of a teacher, used as the objects of an image that nobody has labelled.

Training, the command `label`, the app and the measures of pseudo truth all use the functions of this file. Each query gives
at most one object: its best class, if its score reaches the least score of that class. A DETR is trained to find each object
once, but some of its less confident queries repeat an object; `PseudoRule.overlap` takes them out.
"""

from dataclasses import dataclass, replace

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.boxes import clipped, iou
from core.errors import UserError
from core.types import Predictions, Targets

USUAL_SCORE = 0.4  # least score of a pseudo object, where nothing is known that would give a better one


@dataclass(frozen=True)
class PseudoRule:
    """Which predictions of a teacher are objects, and what each of them counts for."""

    scores: tuple[float, ...]  # the least score of an object of each class
    soft: bool = False  # whether an object counts as much as its score, instead of 1
    overlap: float = (
        1.0  # IoU with a better object of its class above which a prediction repeats it; 1: nothing is taken out
    )

    @staticmethod
    def from_entry(entry: dict, where: str) -> "PseudoRule":
        """The rule of an entry of a card. UserError: the entry is damaged; `where` is its place."""
        try:
            return PseudoRule(tuple(map(float, entry["scores"])), bool(entry["soft"]), float(entry["overlap"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{where} is not what a run writes ({error!r}); start a new run") from None

    def reached(self, scores: Float[Tensor, "*n"], labels: Int[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        """Returns whether each score is at least that of its class."""
        return scores >= torch.tensor(self.scores, dtype=scores.dtype).to(scores.device, non_blocking=True)[labels]

    def weights(self, scores: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """The weights of objects of these scores."""
        return scores if self.soft else torch.ones_like(scores)

    def objects(
        self, boxes: Float[Tensor, "*b q 4"], scores: Float[Tensor, "*b q"], labels: Int[Tensor, "*b q"]
    ) -> Bool[Tensor, "*b q"]:
        """Which predictions are objects, given those of one image or of several; boxes are (cx, cy, w, h), clipped."""
        keep = self.reached(scores, labels) & (boxes[..., 2:] > 0).all(-1)
        if self.overlap >= 1:
            return keep
        place = torch.arange(scores.shape[-1], device=scores.device)
        value, other = scores[..., :, None], scores[..., None, :]
        is_better = (other > value) | ((other == value) & (place < place[:, None]))
        is_same = (labels[..., :, None] == labels[..., None, :]) & keep[..., None, :]
        return keep & ~(is_better & is_same & (iou(boxes[..., :, None, :], boxes[..., None, :, :]) > self.overlap)).any(
            -1
        )


@dataclass(frozen=True)
class PseudoObjects:
    """Objects of a batch in one flat list, image after image, the highest score of an image first."""

    boxes: Float[Tensor, "t 4"]  # (cx, cy, w, h) in fractions of the image; they may reach beyond it
    scores: Float[Tensor, " t"]
    labels: Int[Tensor, " t"]
    image: Int[Tensor, " t"]
    query: Int[Tensor, " t"]
    counts: tuple[int, ...]  # objects of each image


@torch.no_grad()
def pseudo_objects(own: Predictions, rule: PseudoRule, images: Bool[Tensor, " b"] | None = None) -> PseudoObjects:
    """The objects that the last layer of a teacher's own queries gives; of the chosen `images` only.

    Boxes that lie outside the image are left out. One copy to the host: the number of objects.
    """
    scores, labels = own.logits[-1].float().sigmoid().max(-1)
    keep = rule.objects(clipped(own.boxes[-1]), scores, labels)
    if images is not None:
        keep = keep & rearrange(images, "b -> b 1")
    order = scores.masked_fill(~keep, -1.0).argsort(dim=1, descending=True, stable=True)
    counts = tuple(keep.sum(1).tolist())
    image = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    rank = torch.cat([torch.arange(0), *(torch.arange(n) for n in counts)])
    image, rank = (x.to(scores.device, non_blocking=True) for x in (image, rank))
    query = order[image, rank]
    return PseudoObjects(own.boxes[-1][image, query], scores[image, query], labels[image, query], image, query, counts)


def with_pseudo_truth(targets: Targets, own: Predictions, rule: PseudoRule) -> Targets:
    """The targets in which unlabelled images have the teacher's predictions as objects; the others are unchanged."""
    if not targets.pending:
        return targets
    unlabelled = torch.tensor(targets.unlabelled).to(targets.labels.device, non_blocking=True)
    extra = pseudo_objects(own, rule, unlabelled)
    image = torch.cat([targets.image, extra.image])
    order = image.argsort(stable=True)
    weights = targets.boxes.new_ones(len(targets)) if targets.weights is None else targets.weights
    return replace(
        targets,
        boxes=torch.cat([targets.boxes, clipped(extra.boxes)])[order],
        labels=torch.cat([targets.labels, extra.labels])[order],
        image=image[order],
        counts=tuple(a + b for a, b in zip(targets.counts, extra.counts)),
        weights=torch.cat([weights, rule.weights(extra.scores)])[order] if rule.soft else targets.weights,
        pending=False,
    )
