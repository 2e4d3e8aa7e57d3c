"""A map over the image as a browser takes it: one byte for each place."""

from base64 import b64encode

import torch
from jaxtyping import Float
from torch import Tensor

from core.types import Memory


def heat(values: Float[Tensor, "h w"], memory: Memory, level: int) -> dict:
    """A map over the places of one level; negative values become 0.

    "most" is the value of byte 255, "span" the share of the image's width and height that the map covers.
    """
    most = values.max().item()
    grid = (values.clamp(min=0) / most * 255).round() if most > 0 else torch.zeros_like(values)
    (height, width), stride = memory.shapes[level], memory.strides[level]
    rows, columns = memory.sizes[0].tolist()
    return {
        "rows": height,
        "columns": width,
        "span": [width * stride / columns, height * stride / rows],
        "most": most,
        "mean": values.mean().item(),
        "grid": b64encode(grid.to(torch.uint8).contiguous().numpy().tobytes()).decode(),
    }
