"""Carries boxes from a source image to a view of it: mirrored, cropped, resized."""

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from core.boxes import clipped

WHOLE_SCALE = 1 + 1e-6  # a view with a larger scale shows a part of its image


def carried_boxes(boxes: Float[Tensor, "l b q 4"], views: Float[Tensor, "b 4"] | None) -> Float[Tensor, "l b q 4"]:
    """Boxes (cx, cy, w, h) of source images in fractions of their views (`core.types.Images.views`).

    In an image that is cropped they are clipped, as objects are, and empty if nothing of them is left; in others they may reach
    beyond the image as before. A view that shows the image as it is changes no bit.
    """
    if views is None:
        return boxes
    scale, offset = rearrange(views, "b (part side) -> part 1 b 1 side", part=2, side=2).to(boxes)
    center, size = boxes.split(2, dim=-1)
    moved = torch.cat([center * scale + offset, size * scale.abs()], -1)
    return torch.where(rearrange(is_cropped(views), "b -> 1 b 1 1"), clipped(moved), moved)


def is_cropped(views: Float[Tensor, "b 4"]) -> Bool[Tensor, " b"]:
    """Returns whether each view shows only a part of its image."""
    return (views[:, :2].abs() > WHOLE_SCALE).any(-1)


def visible(boxes: Float[Tensor, "l b q 4"], views: Float[Tensor, "b 4"] | None) -> Bool[Tensor, "b q"] | None:
    """Returns whether something of each carried box of the last layer is left; None without crops or known views."""
    if views is None:
        return None
    return (boxes[-1, ..., 2:] > 0).all(-1) | ~rearrange(is_cropped(views), "b -> b 1")
