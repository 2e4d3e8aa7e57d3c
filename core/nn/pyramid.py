"""A feature pyramid that is read at points in (x, y, scale): AdaMixer, arXiv 2203.16507, Eq. 4 to 6."""

from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor

from core.nn.sampling import Sample, TableLayout, table, table_layout


@dataclass(frozen=True)
class Pyramid:
    """Maps as a table, once for all stages that read them."""

    rows: Float[Tensor, "rows c"]
    grid: TableLayout
    stride: Float[Tensor, " n"]  # of each point's level, for all groups, points and levels


def pyramid(maps: tuple[Tensor, ...], strides: tuple[int, ...], *, groups: int, points: int) -> Pyramid:
    """Of maps b d h w, for so many points of each group of channels."""
    shapes, device = tuple(tuple(x.shape[-2:]) for x in maps), maps[0].device
    found = table_layout(shapes, images=maps[0].shape[0], readers=groups * points, groups=groups, points=1, device=device)
    stride = torch.tensor(strides, dtype=torch.float32).repeat(groups * points).to(device, non_blocking=True)
    return Pyramid(table([rearrange(x, "b d h w -> b h w d") for x in maps], groups), found, stride)


def sample_3d(pyramid: Pyramid, points: Float[Tensor, "b q g p 3"]) -> Float[Tensor, "b q g p c"]:
    """Points are (x, y) in pixels of the input and z = log2 of a stride.

    Each level is read bilinearly (zero outside), and levels are blended by exp(-(z - log2 stride)^2 / 2). Channels are
    split into g contiguous groups, each with points of its own.
    """
    g, p = points.shape[2:4]
    x_y, z = points[..., :2], rearrange(points[..., 2], "b q g p -> b q 1 (g p)")
    at = repeat(x_y, "b q g p two -> b q two (g p l)", l=len(pyramid.grid.size)) / pyramid.stride - 0.5
    weights = rearrange(blend(z, pyramid.stride[: len(pyramid.grid.size)]), "b q l r -> b q r l")
    return Sample.apply(pyramid.rows, at, weights, pyramid.grid).unflatten(2, (g, p))


def blend(z: Float[Tensor, "b q 1 r"], stride: Float[Tensor, " l"]) -> Float[Tensor, "b q l r"]:
    """What each level counts for a point at scale z."""
    return (-(z - stride.log2()[:, None]).pow(2) / 2).softmax(2)
