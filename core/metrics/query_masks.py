"""Masks of queries (DETRDistill, Eq. 7), and how much of each lies on objects.

The paper claims in Figure 4 that queries of high quality attend to objects. Quality is q* here
(`core/metrics/query_quality.py`), because every query has one. Negative values of a mask count as 0. A statistic of several
levels is the mean over the levels on which the mask is not 0 everywhere.
"""

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from core.boxes import corners
from core.losses._imitation import Source
from core.losses.features import Mask, similarity_masks
from core.matching.costs import padded_targets
from core.types import Memory, Targets, Trace

TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class MaskStatistics:
    """Statistics of the masks of one layer's queries."""

    inside: Float[Tensor, "b q"]  # share of the mask's mass inside the boxes of objects; NaN for a mask of 0
    entropy: Float[Tensor, "b q"]  # entropy of the mass over places: 0 if on one place, 1 if even; NaN for a mask of 0
    area: Float[Tensor, " b"]  # share of the places inside the boxes of objects: `inside` of an even mask


@torch.no_grad()
def mask_statistics(
    trace: Trace, targets: Targets, *, source: Source = "encoder", mask: Mask = "cosine", layer: int = -1
) -> MaskStatistics:
    """Statistics of the masks of a detector's own queries in a layer, mean over levels."""
    parts = []
    for level, psi in enumerate(query_masks(trace, source=source, mask=mask, layer=layer)):
        inside, valid = inside_objects(trace.memory, targets, level), ~trace.memory.padding[level]
        area = (inside & valid).sum((-2, -1)) / valid.sum((-2, -1)).clamp(min=1)
        parts.append((mass_inside(psi, inside), spatial_entropy(psi, valid), area))
    return MaskStatistics(*(torch.stack(x).nanmean(0) for x in zip(*parts)))


@torch.no_grad()
def query_masks(trace: Trace, *, source: Source, mask: Mask, layer: int = -1) -> list[Float[Tensor, "b q _ _"]]:
    """The mask psi of every own query in a layer, for each level; negative values are set to 0, and so is padding."""
    levels, queries = trace.memory.maps(source), trace.own.hidden[layer]
    masks = [similarity_masks(level, queries, mask).clamp_(min=0) for level in levels]
    return [psi.mul_(rearrange(~pad, "b h w -> b 1 h w")) for psi, pad in zip(masks, trace.memory.padding)]


def inside_objects(memory: Memory, targets: Targets, level: int) -> Bool[Tensor, "b h w"]:
    """Returns whether the centre of each place of a level lies inside the box of an object."""
    rows, columns = (x.float() for x in rows_and_columns_inside(memory, targets, level))
    return rows.mT @ columns > 0


def inside_each_object(memory: Memory, targets: Targets, level: int) -> Bool[Tensor, "b t h w"]:
    """Returns whether the centre of each place lies inside the box of each object; objects as in `padded_targets`."""
    rows, columns = rows_and_columns_inside(memory, targets, level)
    return rearrange(rows, "b t h -> b t h 1") & rearrange(columns, "b t w -> b t 1 w")


def rows_and_columns_inside(
    memory: Memory, targets: Targets, level: int
) -> tuple[Bool[Tensor, "b t h"], Bool[Tensor, "b t w"]]:
    """Returns whether the centre of each row, and of each column, of a level lies inside the box of each object."""
    (height, width), stride = memory.shapes[level], memory.strides[level]
    boxes, _, valid = padded_targets(targets)
    x0, y0, x1, y1 = (rearrange(x, "b t -> b t 1") for x in corners(boxes).unbind(-1))
    size = rearrange(memory.sizes, "b side -> b 1 1 side").float()
    y, x = ((torch.arange(n, device=boxes.device) + 0.5) * stride for n in (height, width))
    rows, columns = y / size[..., 0], x / size[..., 1]
    valid = rearrange(valid, "b t -> b t 1")
    return valid & (y0 <= rows) & (rows < y1), (x0 <= columns) & (columns < x1)


def mass_inside(psi: Float[Tensor, "b q h w"], inside: Bool[Tensor, "b h w"]) -> Float[Tensor, "b q"]:
    """Share of each mask's mass on the places `inside`; NaN for a mask of 0."""
    part = (psi * rearrange(inside, "b h w -> b 1 h w")).sum((-2, -1))  # takes a fourth of the time of einsum
    return part / psi.sum((-2, -1))


def spatial_entropy(psi: Float[Tensor, "b q h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b q"]:
    """Entropy of each mask as a distribution over the valid places, divided by its maximum; NaN for a mask of 0."""
    mass = psi.sum((-2, -1))
    plogp = psi * psi.clamp(min=TINY).log()  # takes a sixth of the time of torch.special.entr
    nats = mass.log() - plogp.sum((-2, -1)) / mass
    most = valid.sum((-2, -1)).clamp(min=2).log()
    return nats / rearrange(most, "b -> b 1")


def rank_correlation(a: Float[ndarray, "n q"], b: Float[ndarray, "n q"]) -> Float[ndarray, " n"]:
    """Spearman's rank correlation of each row of `a` with that of `b`; NaN if one is constant or has a NaN."""
    from scipy.stats import rankdata  # takes a second to import

    ranks = [rankdata(x, axis=1, nan_policy="propagate") for x in (a, b)]
    x, y = (r - r.mean(1, keepdims=True) for r in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1))
