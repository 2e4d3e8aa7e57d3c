"""Bilinear sampling of feature maps at points in (x, y, scale)."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def sample_3d(
    maps: tuple[Tensor, ...],  # b d h w of each level
    points: Float[Tensor, "b q g p 3"],
    strides: tuple[int, ...],
) -> Float[Tensor, "b q g p c"]:
    """AdaMixer's 3D sampling: points are (x, y) in pixels of the input and z = log2 of a stride.

    Each level is read bilinearly (zero outside), and levels are blended by exp(-(z - log2 stride)^2 / 2). Channels are
    split into g contiguous groups, each with points of its own. AdaMixer, arXiv 2203.16507, Eq. 4 to 6.
    """
    groups = points.shape[2]
    xy = rearrange(points[..., :2], "b q g p k -> (b g) q p k")
    blend = scale_weights(rearrange(points[..., 2], "b q g p -> (b g) 1 q p"), strides)
    total = 0
    for level, stride, weight in zip(maps, strides, blend):
        extent = xy.new_tensor([level.shape[-1] * stride, level.shape[-2] * stride])
        values = rearrange(level, "b (g c) h w -> (b g) c h w", g=groups)
        read = F.grid_sample(values, (xy / extent * 2 - 1).to(values.dtype), padding_mode="zeros", align_corners=False)
        total = total + read * weight.to(read.dtype)
    return rearrange(total, "(b g) c q p -> b q g p c", g=groups)


def scale_weights(z: Float[Tensor, "*n"], strides: tuple[int, ...]) -> tuple[Float[Tensor, "*n"], ...]:
    """Of each level, for a point at scale z."""
    distance = torch.stack([z - math.log2(stride) for stride in strides])
    return (-distance.pow(2) / 2).softmax(0).unbind(0)
