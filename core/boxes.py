"""Conversions between box conventions, and overlaps (IoU, GIoU), which are computed in float32 at any precision around them."""

import torch
from einops import repeat
from jaxtyping import Float, Int
from torch import Tensor

EMPTY = 1e-12  # an area, in squared fractions of the image, below which a box counts as empty


def corners(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """Converts (cx, cy, w, h) to (x0, y0, x1, y1)."""
    center, size = boxes.split(2, dim=-1)
    return torch.cat([center - size / 2, center + size / 2], dim=-1)


def centers(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """Converts (x0, y0, x1, y1) to (cx, cy, w, h)."""
    low, high = boxes.split(2, dim=-1)
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def clipped(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """The part of each box (cx, cy, w, h) inside the image, as true boxes are, in float32; empty for a box outside it."""
    return centers(corners(boxes.float()).clamp(0, 1))


def in_pixels(boxes: Float[Tensor, "b n 4"], sizes: Int[Tensor, "b 2"]) -> Float[Tensor, "b n 4"]:
    """Converts (cx, cy, w, h) in fractions of images of these sizes (height, width) to corners in pixels."""
    return corners(boxes.float()) * repeat(sizes.flip(1).float(), "b side -> b 1 (two side)", two=2)


def iou_and_giou(
    a: Float[Tensor, "*#n 4"], b: Float[Tensor, "*#n 4"]
) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"]]:
    """IoU and GIoU of each box (cx, cy, w, h) of `a` with its counterpart in `b`; broadcasts.

    An empty box has IoU 0 and a finite GIoU. Rezatofighi et al., CVPR 2019, arXiv 1902.09630.
    """
    (a_low, a_high), (b_low, b_high) = corner_points(a), corner_points(b)
    inner = area((torch.minimum(a_high, b_high) - torch.maximum(a_low, b_low)).clamp(min=0))
    outer = area(torch.maximum(a_high, b_high) - torch.minimum(a_low, b_low))
    union = area(a_high - a_low) + area(b_high - b_low) - inner
    iou = inner / union.clamp(min=EMPTY)
    return iou, iou - (outer - union) / outer.clamp(min=EMPTY)


def coordinates_first(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, " 4 *n"]:
    """The boxes in float32 with the coordinates as the first axis, contiguous.

    Overlaps of all pairs of many boxes then need no tensor of pairs x 4, and read memory without strides of four.
    """
    return boxes.float().movedim(-1, 0).contiguous()


def corner_points(boxes: Float[Tensor, "*n 4"]) -> tuple[Float[Tensor, " 2 *n"], Float[Tensor, " 2 *n"]]:
    """The corners (left, top) and (right, bottom) of each box, coordinates first."""
    center, half = coordinates_first(boxes).split(2)
    half = half / 2
    return center - half, center + half


def area(size: Float[Tensor, " 2 *n"]) -> Float[Tensor, "*n"]:
    """Width times height."""
    width, height = size
    return width * height


def iou(a: Float[Tensor, "*#n 4"], b: Float[Tensor, "*#n 4"]) -> Float[Tensor, "*n"]:
    """IoU of each box with its counterpart, as in `iou_and_giou`."""
    return iou_and_giou(a, b)[0]


def giou(a: Float[Tensor, "*#n 4"], b: Float[Tensor, "*#n 4"]) -> Float[Tensor, "*n"]:
    """GIoU of each box with its counterpart, in (-1, 1], as in `iou_and_giou`."""
    return iou_and_giou(a, b)[1]
