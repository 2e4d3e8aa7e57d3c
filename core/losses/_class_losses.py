"""Class losses of detection: focal, varifocal, matching-aware, IoU-aware and softmax, as `Matching.class_loss` names them.

p is the score of a class and u the IoU of a query's box with the object that the query is matched with, without gradient. A
query's positive is the class of its object; an unmatched query has none. Every loss is summed over classes:

    focal      positives -a (1 - p)^g log p, negatives -(1 - a) p^g log(1 - p); Lin et al., ICCV 2017, arXiv 1708.02002;
               a and g are those of the focal cost, 0.25 and 2
    vfl        positives -u (u log p + (1 - u) log(1 - p)), negatives -a p^g log(1 - p); Zhang et al., CVPR 2021, arXiv
               2008.13367, Eq. 2; a = 0.75, g = 2; RT-DETR (arXiv 2304.08069) and D-FINE (arXiv 2410.13842)
    mal        positives -u^g log p - (1 - u^g) log(1 - p), negatives -a p^g log(1 - p); DEIM, arXiv 2412.04234, Eq. 3, where
               a = 1 and g = 1.5
    ia_bce     positives -t log p - (1 - t) log(1 - p) with t = p^a u^(1 - a), negatives -p^g log(1 - p); LW-DETR, arXiv
               2406.03459; a = 0.25, g = 2; t is at least 0.01 and has no gradient, as in the releases of LW- and RF-DETR
    softmax    -log p of a matched query's class, -log(1 - sum of p) of an unmatched query, which is weighted by `no_object`;
               DETR, arXiv 2005.12872, Sec. 3.1. The sum is divided by the weights of all queries, as DETR's cross-entropy is,
               and not by the number of objects.

p in the weights of negatives has a gradient in `focal` and `ia_bce`, and none in `vfl` and `mal`, as in the originals.

The softmax is over the classes and "no object", and its loss is for detectors whose logits are z_c = log p_c - log(1 - p_c), the
logits of a sigmoid with the softmax's own probabilities. From these it is recovered exactly.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core.boxes import iou
from core.losses.base import normaliser, scatter_to_queries
from core.matching.costs import Matching
from core.types import Assignment, Predictions, Targets

CONSTANTS = {"vfl": (0.75, 2.0), "mal": (1.0, 1.5), "ia_bce": (0.25, 2.0)}  # alpha and gamma of the papers
LEAST_QUALITY = 0.01  # of a positive of `ia_bce`
LEAST_REST = 1e-7  # probability of "no object" below which its logarithm is continued by a straight line


def class_loss(p: Predictions, targets: Targets, a: Assignment, m: Matching) -> Float[Tensor, "l b q"]:
    """The class loss of every query, in float32 and unweighted, divided by the number of objects of the whole step.

    `softmax` is divided by the sum of the weights of all queries instead.
    """
    logits, positive = p.logits.float(), class_targets(p, targets, a)
    alpha, gamma = constants(m)
    if m.class_loss == "focal":
        return focal_loss(logits, positive, alpha, gamma) / normaliser(targets)
    if m.class_loss == "softmax":
        return softmax_loss(logits, positive, m.no_object) / softmax_normaliser(targets, logits.shape[2], m)
    overlap = iou(p.boxes[a.index], targets.boxes[a.target]).detach()
    quality = rearrange(scatter_to_queries(overlap, a, like=p.logits), "l b q -> l b q 1")
    functions = {"vfl": varifocal_loss, "mal": matching_aware_loss, "ia_bce": iou_aware_loss}
    return functions[m.class_loss](logits, positive, quality, alpha, gamma) / normaliser(targets)


def constants(m: Matching) -> tuple[float, float]:
    """Alpha and gamma of the class loss: those that are set, otherwise the paper's (for `focal`, those of the cost)."""
    alpha, gamma = CONSTANTS.get(m.class_loss, (m.alpha, m.gamma))
    return alpha if m.loss_alpha is None else m.loss_alpha, gamma if m.loss_gamma is None else m.loss_gamma


def class_targets(p: Predictions, targets: Targets, a: Assignment) -> Float[Tensor, "l b q c"]:
    """1 at the class of the object that a query is matched with, 0 elsewhere: all zeros for background."""
    one = torch.ones((), device=p.logits.device)
    return torch.zeros_like(p.logits, dtype=torch.float32).index_put((*a.index, targets.labels[a.target]), one)


def focal_loss(
    logits: Float[Tensor, "*n c"], positive: Float[Tensor, "*n c"], alpha: float, gamma: float
) -> Float[Tensor, "*n"]:
    """Sigmoid focal loss summed over classes; `positive` is 0 or 1."""
    score = logits.sigmoid()
    error = positive * (1 - score) + (1 - positive) * score  # 1 - p_t of the paper
    balance = positive * alpha + (1 - positive) * (1 - alpha)  # alpha_t
    entropy = F.binary_cross_entropy_with_logits(logits, positive, reduction="none")
    return (balance * error**gamma * entropy).sum(-1)


def varifocal_loss(
    logits: Float[Tensor, "*n c"],
    positive: Float[Tensor, "*n c"],
    quality: Float[Tensor, "*n 1"],
    alpha: float,
    gamma: float,
) -> Float[Tensor, "*n"]:
    """Varifocal loss summed over classes: the score of a positive is to be its quality, by which it is weighted."""
    wanted = positive * quality
    weight = wanted + (1 - positive) * alpha * logits.detach().sigmoid() ** gamma
    return weighted_entropy(logits, wanted, weight)


def matching_aware_loss(
    logits: Float[Tensor, "*n c"],
    positive: Float[Tensor, "*n c"],
    quality: Float[Tensor, "*n 1"],
    alpha: float,
    gamma: float,
) -> Float[Tensor, "*n"]:
    """Matching-aware loss summed over classes: the score of a positive is to be quality^gamma, with weight 1."""
    weight = positive + (1 - positive) * alpha * logits.detach().sigmoid() ** gamma
    return weighted_entropy(logits, positive * quality**gamma, weight)


def iou_aware_loss(
    logits: Float[Tensor, "*n c"],
    positive: Float[Tensor, "*n c"],
    quality: Float[Tensor, "*n 1"],
    alpha: float,
    gamma: float,
) -> Float[Tensor, "*n"]:
    """IoU-aware cross-entropy summed over classes: a positive's score is to be the geometric mean of score and quality."""
    score = logits.sigmoid()
    wanted = (score.detach() ** alpha * quality ** (1 - alpha)).clamp(min=LEAST_QUALITY)
    return weighted_entropy(logits, positive * wanted, positive + (1 - positive) * score**gamma)


def weighted_entropy(
    logits: Float[Tensor, "*n c"], wanted: Float[Tensor, "*n c"], weight: Float[Tensor, "*n c"]
) -> Float[Tensor, "*n"]:
    """Binary cross-entropy of scores with the wanted ones, weighted and summed over classes."""
    return (weight * F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")).sum(-1)


def softmax_loss(
    logits: Float[Tensor, "*n c"], positive: Float[Tensor, "*n c"], no_object: float
) -> Float[Tensor, "*n"]:
    """Cross-entropy of the softmax over classes and "no object"; an unmatched query has the weight `no_object`."""
    background = 1 - positive.sum(-1)
    return -(positive * F.logsigmoid(logits)).sum(-1) - no_object * background * log_no_object(logits)


def log_no_object(logits: Float[Tensor, "*n c"]) -> Float[Tensor, "*n"]:
    """The logarithm of the probability of "no object", 1 - sum of the scores.

    The highest score is taken off first, since 1 - p is exact for a logit. Below LEAST_REST the logarithm goes on as a straight
    line: finite and falling for any logits, also for those whose scores add up to more than 1.
    """
    highest = logits.argmax(-1, keepdim=True)
    others = logits.sigmoid().scatter(-1, highest, 0.0).sum(-1)
    rest = rearrange((-logits.gather(-1, highest)).sigmoid(), "... 1 -> ...") - others
    return rest.clamp(min=LEAST_REST).log() - (1 - rest / LEAST_REST).clamp(min=0)


def softmax_normaliser(targets: Targets, queries: int, m: Matching) -> Float[Tensor, ""]:
    """The sum of the weights of all queries of the step, of which each image has `queries`, in a layer."""

    def weights(objects: Tensor) -> Tensor:
        matched = objects.clamp(max=queries)
        return matched + m.no_object * (queries - matched)

    return normaliser(targets, weights, least=LEAST_REST)
