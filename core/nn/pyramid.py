"""Sampling of a feature pyramid at points (x, y, scale): AdaMixer, arXiv 2203.16507, Eq. 4 to 6."""

from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor

from core.nn.sampling import TableLayout, sample, table, table_layout


@dataclass(frozen=True)
class Pyramid:
    """Feature maps of all levels as a table, made once for all decoder layers that sample them."""

    rows: Float[Tensor, "rows c"]
    layout: TableLayout
    stride: Float[Tensor, " n"]  # stride of each sample's level, for all groups, points and levels


def pyramid(maps: tuple[Tensor, ...], strides: tuple[int, ...], *, groups: int, points: int) -> Pyramid:
    """The pyramid of maps b d h w, for decoder layers that sample `points` points in each of `groups` groups of channels.

    A point is sampled in every level, so to the table it is a sampling head with one point in each level.
    """
    shapes, device = tuple((x.shape[-2], x.shape[-1]) for x in maps), maps[0].device
    layout = table_layout(
        shapes, images=maps[0].shape[0], heads=groups * points, groups=groups, points=1, device=device
    )
    stride = torch.tensor(strides, dtype=torch.float32).repeat(groups * points).to(device, non_blocking=True)
    return Pyramid(table([rearrange(x, "b d h w -> b h w d") for x in maps], groups), layout, stride)


def sample_3d(pyramid: Pyramid, points: Float[Tensor, "b q g p 3"]) -> Float[Tensor, "b q g p c"]:
    """Features at points (x, y, z): x and y in pixels of the input, z = log2 of a stride.

    Each level is sampled bilinearly (zero outside), and levels are blended by exp(-(z - log2 stride)^2 / 2). Channels are
    split into g contiguous groups, each with its own points.
    """
    g, p = points.shape[2:4]
    x_y, z = points[..., :2], rearrange(points[..., 2], "b q g p -> b q 1 (g p)")
    levels = len(pyramid.layout.size)
    at = repeat(x_y, "b q g p two -> b q two (g p l)", l=levels) / pyramid.stride - 0.5
    weights = rearrange(level_weights(z, pyramid.stride[:levels]), "b q l r -> b q r l")
    return sample(pyramid.rows, at, weights, pyramid.layout).unflatten(2, (g, p))


def level_weights(z: Float[Tensor, "b q 1 r"], stride: Float[Tensor, " l"]) -> Float[Tensor, "b q l r"]:
    """The weight of each level for each point at scale z; the weights of a point sum to 1."""
    return (-(z - stride.log2()[:, None]).pow(2) / 2).softmax(2)
