"""Counts of pseudo objects, and of those that are right where the true objects are known."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from core.boxes import iou
from core.metrics.hits import MIN_IOU, greedy_pairs
from core.types import Targets, Withheld


@dataclass(frozen=True)
class PseudoCounts:
    """Counts of one batch, or of several added up."""

    images: int = 0  # without labels
    objects: int = 0  # pseudo objects in them
    judged: int = 0  # pseudo objects of images whose true objects are known
    right: int = 0  # those that are on a true object of their class
    true: int = 0  # true objects of these images

    def __add__(self, other: "PseudoCounts") -> "PseudoCounts":
        return PseudoCounts(*(a + b for a, b in zip(vars(self).values(), vars(other).values())))

    @property
    def precision(self) -> float | None:
        """The share of right ones among the judged; None if there are none."""
        return self.right / self.judged if self.judged else None

    @property
    def recall(self) -> float | None:
        """The share of true objects that have a pseudo object; None if there are none."""
        return self.right / self.true if self.true else None


def pseudo_counts(targets: Targets) -> PseudoCounts:
    """The counts of a batch whose pseudo truth is made; waits for the device where true objects are withheld."""
    of_unlabelled = [n for n, unlabelled in zip(targets.counts, targets.unlabelled) if unlabelled]
    counts = PseudoCounts(len(of_unlabelled), sum(of_unlabelled))
    if targets.withheld is None:
        return counts
    boxes, labels, image = (x.cpu() for x in (targets.boxes, targets.labels, targets.image))
    for at, known in enumerate(targets.withheld.known):
        if known:
            counts += judged(boxes[image == at], labels[image == at], targets.withheld, at)
    return counts


def judged(boxes: Float[Tensor, "n 4"], labels: Int[Tensor, " n"], withheld: Withheld, at: int) -> PseudoCounts:
    """The counts of one image, whose pseudo objects come with the highest score first: COCO's rule at MIN_IOU."""
    true = (withheld.image == at).cpu()
    true_boxes, true_labels = withheld.boxes.cpu()[true], withheld.labels.cpu()[true]
    right = 0
    if len(boxes) and len(true_boxes):
        overlap = iou(boxes[:, None], true_boxes[None]) * (labels[:, None] == true_labels[None])
        right = len(list(greedy_pairs(overlap.double().numpy(), MIN_IOU)))
    return PseudoCounts(judged=len(boxes), right=right, true=len(true_boxes))
