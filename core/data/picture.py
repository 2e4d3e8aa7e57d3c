"""An image file as a tensor."""

from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from core.data.decode import decode


def read_picture(path: Path, size: tuple[int, int] | None = None) -> UInt8[Tensor, "3 h w"]:
    """Upright 8-bit RGB of (height, width) `size`, if that was declared. UserError: see decode."""
    return rearrange(torch.from_numpy(decode(path, size)), "h w c -> c h w").contiguous()
