"""Losses of boxes whose edges are distributions over distances: D-FINE, Peng et al., ICLR 2025, arXiv 2410.13842.

Fine-grained localisation (FGL): for each edge of a matched box, the cross-entropy of its distribution with the two bins
between which the true distance lies, by their nearness, weighted by the IoU of the predicted with the true box.

It is summed over edges, and over all layers that have bins, each with its own matching, and divided by the number of objects.

Self-distillation (DDF): the distributions of earlier layers are to be those of the last layer, at temperature T. A
matched query is weighted by the IoU of its box with the object's, an unmatched one by its highest score in the last layer. The
means over matched queries and over the others are averaged in the proportion of the roots of their numbers, as in the release.
Not taken over is the union of the layers' matchings, with which the release computes the losses of boxes.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from core.boxes import corners, iou
from core.losses.base import normaliser, scatter_to_queries
from core.types import Assignment, BinnedPredictions, Targets

SMALLEST = 1e-16  # side of a reference, as in the original
TEMPERATURE = 5.0  # of self-distillation, as in the release


def localisation_loss(p: BinnedPredictions, targets: Targets, a: Assignment) -> Float[Tensor, "l b q"]:
    """The fine-grained localisation loss of matched queries, in float32 and unweighted; 0 in layers without bins.

    The pairs must be those of every layer, layer after layer, with the same number in each.
    """
    pairs, index = with_bins(p, a)
    true = targets.boxes[pairs.target]
    wanted = distribution(edge_distances(true, p.references[index].detach().float()), p.distances.float())
    entropy = -(wanted * p.bins[index].float().log_softmax(-1)).sum((-2, -1))
    values = iou(p.boxes[pairs.index], true).detach() * entropy / normaliser(targets)
    if targets.weights is not None:
        values = values * targets.weights[pairs.target]
    return scatter_to_queries(values, pairs, like=p.logits)


def self_distillation_loss(p: BinnedPredictions, targets: Targets, a: Assignment) -> Float[Tensor, "l b q"]:
    """The self-distillation loss of queries, in float32 and unweighted; 0 in the last layer and in those without bins."""
    last = p.bins[-1].detach().float() / TEMPERATURE
    log_p = (p.bins[:-1].float() / TEMPERATURE).log_softmax(-1)
    divergence = (last.softmax(-1) * (last.log_softmax(-1) - log_p)).sum(-1).mean(-1)
    pairs = a.at(slice(None, len(a) - len(a) // len(p.logits)))
    overlap = iou(p.boxes[pairs.index], targets.boxes[pairs.target]).detach()
    matched, unmatched = shares(targets, queries=p.boxes.shape[2])
    weights = (p.logits[-1].detach().float().sigmoid().amax(-1) * unmatched).expand(p.logits.shape[:-1])
    share = 1.0 if targets.weights is None else targets.weights[pairs.target]
    weights = weights.index_put(pairs.index, overlap * share * matched)
    values = TEMPERATURE**2 * weights[-len(p.bins) : -1] * divergence
    return torch.cat([torch.zeros_like(weights[: -len(p.bins)]), values, torch.zeros_like(weights[-1:])])


def shares(targets: Targets, queries: int) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The weights of a matched and of an unmatched query, with which their sum is the average of the two means.

    With m matched queries in the step and n others, the means are averaged in the proportion of the roots of m and n.
    """
    counts = [
        targets.processes * normaliser(targets, of_image, least=0.0)
        for of_image in (lambda n: n.clamp(max=queries), lambda n: queries - n.clamp(max=queries))
    ]
    total = counts[0].sqrt() + counts[1].sqrt()
    matched, others = (targets.processes / (n.clamp(min=1).sqrt() * total) for n in counts)
    return matched, others


def with_bins(p: BinnedPredictions, a: Assignment) -> tuple[Assignment, tuple[Tensor, Tensor, Tensor]]:
    """The pairs in layers that have bins, and their index in tensors of these layers."""
    layers, binned = len(p.logits), len(p.bins)
    first = layers - binned
    pairs = a.at(slice(first * (len(a) // layers), None))
    return pairs, (pairs.layer - first, pairs.image, pairs.query)


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
    made = torch.zeros(*distances.shape, len(bins), device=distances.device)
    return made.scatter(-1, left[..., None], 1 - share).scatter(-1, left[..., None] + 1, share)
