"""Where queries look: the masks of DETRDistill (Eq. 7), and how much of each falls on objects.

A claim of the paper's Figure 4: a query of high quality looks at objects. Quality here is q* (`core/metrics/query_quality.py`), since
every query has one. A mask of negative parts counts where it is positive. Several levels count alike: the mean of those
where the mask is anywhere.
"""

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.stats import rankdata
from torch import Tensor

from core.boxes import corners
from core.losses._imitation import Source
from core.losses.features import Mask, masks
from core.matching.costs import padded_targets
from core.types import Memory, Targets, Trace

TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class MaskStatistics:
    """Of the queries of one layer."""

    inside: Float[Tensor, "b q"]  # share of the mask's mass in true boxes; NaN without any mass
    entropy: Float[Tensor, "b q"]  # of the mass over places: 0 for one place, 1 for all alike
    area: Float[Tensor, " b"]  # share of the places that lie in true boxes: what a mask that is the same everywhere has


@torch.no_grad()
def mask_statistics(
    trace: Trace, targets: Targets, *, source: Source = "encoder", mask: Mask = "cosine", layer: int = -1
) -> MaskStatistics:
    parts = []
    for psi, level in zip(query_masks(trace, source=source, mask=mask, layer=layer), range(len(trace.memory.strides))):
        inside, valid = inside_objects(trace.memory, targets, level), ~trace.memory.padding[level]
        area = (inside & valid).sum((-2, -1)) / valid.sum((-2, -1)).clamp(min=1)
        parts.append((mass_inside(psi, inside), spatial_entropy(psi, valid), area))
    return MaskStatistics(*(torch.stack(x).nanmean(0) for x in zip(*parts)))


@torch.no_grad()
def query_masks(trace: Trace, *, source: Source, mask: Mask, layer: int = -1) -> list[Float[Tensor, "b q _ _"]]:
    """psi of every query on each level, floored at 0, and 0 in padding."""
    levels, queries = trace.memory.maps(source), trace.own.hidden[layer]
    found = [masks(level, queries, mask).clamp_(min=0) for level in levels]
    return [psi.mul_(rearrange(~pad, "b h w -> b 1 h w")) for psi, pad in zip(found, trace.memory.padding)]


def inside_objects(memory: Memory, targets: Targets, level: int) -> Bool[Tensor, "b h w"]:
    """Places of a level whose centre lies in a true box of their image."""
    rows, columns = (x.float() for x in in_spans(memory, targets, level))
    return rows.mT @ columns > 0


def inside_each_object(memory: Memory, targets: Targets, level: int) -> Bool[Tensor, "b t h w"]:
    """The same for every object; objects as in `core.matching.costs.padded_targets`."""
    rows, columns = in_spans(memory, targets, level)
    return rearrange(rows, "b t h -> b t h 1") & rearrange(columns, "b t w -> b t 1 w")


def in_spans(memory: Memory, targets: Targets, level: int) -> tuple[Bool[Tensor, "b t h"], Bool[Tensor, "b t w"]]:
    """Rows and columns of a level whose centre lies in an object's box."""
    (height, width), stride = memory.shapes[level], memory.strides[level]
    boxes, _, valid = padded_targets(targets)
    x0, y0, x1, y1 = (rearrange(x, "b t -> b t 1") for x in corners(boxes).unbind(-1))
    size = rearrange(memory.sizes, "b side -> b 1 1 side").float()
    y, x = ((torch.arange(n, device=boxes.device) + 0.5) * stride for n in (height, width))
    rows, columns = y / size[..., 0], x / size[..., 1]
    there = rearrange(valid, "b t -> b t 1")
    return there & (y0 <= rows) & (rows < y1), (x0 <= columns) & (columns < x1)


def mass_inside(psi: Float[Tensor, "b q h w"], inside: Bool[Tensor, "b h w"]) -> Float[Tensor, "b q"]:
    part = (psi * rearrange(inside, "b h w -> b 1 h w")).sum((-2, -1))  # a fourth of an einsum's time
    return part / psi.sum((-2, -1))


def spatial_entropy(psi: Float[Tensor, "b q h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b q"]:
    """Of the mass as a distribution over the valid places, divided by the largest it can be; NaN without any mass."""
    mass = psi.sum((-2, -1))
    nats = mass.log() - (psi * psi.clamp(min=TINY).log()).sum((-2, -1)) / mass  # not torch's entr: a sixth of the time
    most = valid.sum((-2, -1)).clamp(min=2).log()
    return nats / rearrange(most, "b -> b 1")


def rank_correlation(a: Float[ndarray, "n q"], b: Float[ndarray, "n q"]) -> Float[ndarray, " n"]:
    """Spearman's, of each row; ties share their rank. NaN where a row is constant or holds a NaN."""
    ranks = [rankdata(x, axis=1, nan_policy="propagate") for x in (a, b)]
    x, y = (r - r.mean(1, keepdims=True) for r in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1))
