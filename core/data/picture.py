"""An image file as upright 8-bit RGB."""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from core.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # no others are tried: fewer decoders meet files of strangers


def read_picture(path: Path, size: tuple[int, int] | None = None) -> UInt8[Tensor, "3 h w"]:
    """Turned as its EXIF orientation says; grey, palette, transparent, CMYK and 16-bit images become RGB.

    `size` is the (height, width) that somebody declared. Where only the stored, unturned image has it, that one is
    taken: who declared it looked at that. UserError: not such an image, or of another size.
    """
    try:
        with Image.open(path, formats=FORMATS) as stored:
            turned = ImageOps.exif_transpose(stored)
            views = (view for view in (turned, stored) if size in (None, (view.height, view.width)))
            pixels = next((rgb(view) for view in views), None)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise UserError(f"{path} cannot be read: it is none of {', '.join(FORMATS)}; save it anew as one") from None
    except Exception as error:  # a decoder may raise nearly anything on a broken file
        reason = str(error) or type(error).__name__
        raise UserError(f"{path} cannot be read ({reason}); save it anew, in 8 bits a colour") from None
    if pixels is None:
        found, wanted = f"{turned.width} x {turned.height}", f"{size[1]} x {size[0]}"
        raise UserError(f"{path} is {found} pixels, not {wanted} as declared; correct the declaration, or the file")
    return rearrange(torch.from_numpy(pixels), "h w c -> c h w").contiguous()


def rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    if image.mode.startswith("I;16"):  # grey, which Pillow would clip at 255
        return np.stack([(np.asarray(image) >> 8).astype(np.uint8)] * 3, axis=-1)
    if image.mode in ("I", "F"):
        raise ValueError("its pixels are 32-bit numbers, whose white is anybody's guess")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))
