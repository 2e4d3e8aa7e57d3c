"""Sine embeddings of positions, and the inverse sigmoid with which boxes are refined; all in float32."""

import math

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor


def sine(angles: Float[Tensor, "*n k"], width: int) -> Float[Tensor, "*n d"]:
    """Embeds each of k angles in `width` channels: sine and cosine in turn, at frequencies from 1 down to 1 / 10000."""
    period = 10000 ** (2 * (torch.arange(width, device=angles.device) // 2) / width)
    scaled = angles.float()[..., None] / period
    return rearrange([scaled[..., 0::2].sin(), scaled[..., 1::2].cos()], "two ... k c -> ... (k c two)")


def sine_of_points(points: Float[Tensor, "b q 2"], width: int) -> Float[Tensor, "b q d"]:
    """Embeds points (x, y) in [0, 1]: half the channels for y, then half for x."""
    return sine(points.flip(-1) * 2 * math.pi, width // 2)


@torch.no_grad()
def sine_of_places(padding: Bool[Tensor, "b h w"], width: int, *, offset: float) -> Float[Tensor, "b n d"]:
    """Embeds every place of a map, row by row, as fractions of the part that is not padding; `offset` is in places."""
    valid = (~padding).float()
    y, x = valid.cumsum(1), valid.cumsum(2)
    y, x = (y + offset) / (y[:, -1:] + 1e-6), (x + offset) / (x[:, :, -1:] + 1e-6)
    return sine_of_points(rearrange([x, y], "two b h w -> b (h w) two"), width)


def inverse_sigmoid(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The logit log(x / (1 - x)), which is finite since both parts are at least 1e-5, as in the DETR family."""
    x = x.float().clamp(0, 1)
    return x.clamp(min=1e-5).log() - (1 - x).clamp(min=1e-5).log()
