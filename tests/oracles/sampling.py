"""Bilinear samples of maps, as sums over all places: slow, differentiable, and without a table."""

import torch
from torch import Tensor


def samples(maps: list[Tensor], points: Tensor, weights: Tensor, groups: int) -> Tensor:
    """Weighted sums "b q r c" of maps "b h w (g c)" at points "b q 2 (r k)" with weights "b q r k".

    A place counts with what is left of 1 after its distance, across times down; a point that is no number sees nothing.
    """
    heads, each = weights.shape[2], weights.shape[3] // len(maps)
    points = torch.where(points.isnan(), -9.0, points).unflatten(3, (heads, -1))
    out = torch.zeros(*weights.shape[:3], maps[0].shape[3] // groups, dtype=weights.dtype, device=weights.device)
    for level, values in enumerate(maps):
        own = slice(level * each, (level + 1) * each)
        x, y = points[..., own].unbind(2)
        place_y, place_x = (torch.arange(size, device=x.device).to(x.dtype) for size in values.shape[1:3])
        share = left_of_one(y[..., None] - place_y)[..., :, None] * left_of_one(x[..., None] - place_x)[..., None, :]
        by_head = values.unflatten(3, (groups, -1)).repeat_interleave(heads // groups, dim=3)
        out = out + torch.einsum("bqrk,bqrkij,bijrc->bqrc", weights[..., own], share, by_head)
    return out


def left_of_one(distance: Tensor) -> Tensor:
    """What is left of 1 after a distance, at least 0."""
    return (1 - distance.abs()).clamp(min=0)
