"""An image file as an array of upright 8-bit RGB."""

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # no others are tried: fewer decoders meet files of strangers

# Above Image.MAX_IMAGE_PIXELS (89 million) Pillow only warns, and decodes; a gigabyte would follow.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


class OtherSize(UserError):
    """The image can be read, but is not of its declared size."""

    def __init__(self, path: Path, found: tuple[int, int], wanted: tuple[int, int]):
        """Both are (height, width)."""
        super().__init__(
            f"{path} is {found[1]} x {found[0]} pixels, not {wanted[1]} x {wanted[0]} as declared;"
            " correct the declaration, or the file"
        )
        self.found = found


def decode(path: Path, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "h w 3"]:
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
        raise OtherSize(path, (turned.height, turned.width), size)
    return pixels


def rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    if image.mode.startswith("I;16"):  # grey, which Pillow would clip at 255
        return np.stack([(np.asarray(image) >> 8).astype(np.uint8)] * 3, axis=-1)
    if image.mode in ("I", "F"):
        raise ValueError("its pixels are 32-bit numbers, whose white is anybody's guess")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))
