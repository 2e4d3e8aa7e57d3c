"""Losses of boxes whose edges are distributions over distances: D-FINE, Peng et al., ICLR 2025, arXiv 2410.13842.

Fine-grained localisation (FGL): for each edge of a matched box, the cross-entropy of its distribution with the two bins
between which the true distance lies, by their nearness, weighted by the IoU of the predicted with the true box.

It is summed over edges, and over all layers that have bins, and divided by the number of pairs of a layer.

Self-distillation (DDF): the distributions of earlier layers are to be those of the last layer, at temperature T. A
matched query is weighted by the IoU of its box with the object's, an unmatched one by its highest score in the last layer. The
means over matched queries and over the others are averaged in the proportion of the roots of their numbers, as in the release.
In both, the matched queries are those whose boxes are compared: of each layer, or of the union of all.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from core.boxes import corners, iou
from core.losses._box_pairs import BoxPairs
from core.losses.base import normaliser, scatter_to_queries
from core.types import BinnedPredictions, Targets

SMALLEST = 1e-16  # side of a reference, as in the original
TEMPERATURE = 5.0  # of self-distillation, as in the release


def localisation_loss(p: BinnedPredictions, targets: Targets, box_pairs: BoxPairs) -> Float[Tensor, "l b q"]:
    """The fine-grained localisation loss of matched queries, in float32 and unweighted; 0 in layers without bins."""
    box_pairs, index = with_bins(p, box_pairs)
    pairs = box_pairs.pairs
    true = targets.boxes[pairs.target]
    wanted = distribution(edge_distances(true, p.references[index].detach().float()), p.distances.float())
    entropy = -(wanted * p.bins[index].float().log_softmax(-1)).sum((-2, -1))
    values = iou(p.boxes[pairs.index], true).detach() * entropy / normaliser(targets)
    return scatter_to_queries(box_pairs.averaged(values, targets), pairs, like=p.logits)


def self_distillation_loss(p: BinnedPredictions, targets: Targets, box_pairs: BoxPairs) -> Float[Tensor, "l b q"]:
    """The self-distillation loss of queries, in float32 and unweighted; 0 in the last layer and in those without bins."""
    last = p.bins[-1].detach().float() / TEMPERATURE
    log_p = (p.bins[:-1].float() / TEMPERATURE).log_softmax(-1)
    divergence = (last.softmax(-1) * (last.log_softmax(-1) - log_p)).sum(-1).mean(-1)
    pairs = box_pairs.pairs
    overlap = iou(p.boxes[pairs.index], targets.boxes[pairs.target]).detach()
    if targets.weights is not None:
        overlap = overlap * targets.weights[pairs.target]
    overlap, is_matched = (
        scatter_to_queries(box_pairs.counted(x), pairs, like=p.logits) for x in (overlap, torch.ones_like(overlap))
    )
    matched, unmatched = shares(targets, p.boxes.shape[2], box_pairs.per_object)
    score = p.logits[-1].detach().float().sigmoid().amax(-1)
    weights = torch.where(is_matched > 0, matched * overlap, unmatched * score)
    values = TEMPERATURE**2 * weights[-len(p.bins) : -1] * divergence
    return torch.cat([torch.zeros_like(weights[: -len(p.bins)]), values, torch.zeros_like(weights[-1:])])


def shares(
    targets: Targets, queries: int, per_object: Float[Tensor, ""] | None
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The weights of a matched and of an unmatched query, with which their sum is the average of the two means.

    With m matched queries of a layer in the step, `per_object` for each object, and n others, the means are averaged in the
    proportion of the roots of m and n.
    """

    def in_step(of_image: Callable[[Tensor], Tensor]) -> Float[Tensor, ""]:
        return targets.processes * normaliser(targets, of_image, least=0.0)

    every = in_step(lambda n: torch.full_like(n, queries))
    matched = in_step(lambda n: n.clamp(max=queries)) if per_object is None else in_step(torch.clone) * per_object
    counts = matched, every - matched
    total = counts[0].sqrt() + counts[1].sqrt()
    of_matched, of_others = (targets.processes / (n.clamp(min=1).sqrt() * total) for n in counts)
    return of_matched, of_others


def with_bins(p: BinnedPredictions, box_pairs: BoxPairs) -> tuple[BoxPairs, tuple[Tensor, Tensor, Tensor]]:
    """The pairs in layers that have bins, and their index in tensors of these layers."""
    layers, binned = len(p.logits), len(p.bins)
    first = layers - binned
    box_pairs = box_pairs.at(slice(first * (len(box_pairs.pairs) // layers), None))
    pairs = box_pairs.pairs
    return box_pairs, (pairs.layer - first, pairs.image, pairs.query)


def edge_distances(boxes: Float[Tensor, "*n 4"], references: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """The distances of the edges left, top, right and bottom of boxes from the middles of references, in their sides."""
    middle, side = references.split(2, dim=-1)
    low, high = corners(boxes.float()).split(2, dim=-1)
    return torch.cat([middle - low, high - middle], -1) / torch.cat([side, side], -1).clamp(min=SMALLEST)


def distribution(distances: Float[Tensor, "*n 4"], bins: Float[Tensor, " k"]) -> Float[Tensor, "*n 4 k"]:
    """The distribution over two neighbouring bins whose mean is the distance; beyond the outer bins, the outer bin alone."""
    within = distances.clamp(min=bins[0], max=bins[-1])
    left = torch.searchsorted(bins, within.detach().contiguous(), right=True).sub(1).clamp(0, len(bins) - 2)
    share = ((within - bins[left]) / (bins[left + 1] - bins[left]))[..., None]
    zeros = torch.zeros(*distances.shape, len(bins), device=distances.device)
    return zeros.scatter(-1, left[..., None], 1 - share).scatter(-1, left[..., None] + 1, share)
