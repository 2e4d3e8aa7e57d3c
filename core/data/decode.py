"""Decodes an image file to an array of upright 8-bit RGB."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import UserError

# Pillow tries no other decoders: the fewer read files from strangers, the better.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")

DEPTHS = (
    8,
    10,
    12,
    14,
    16,
)  # bits of cameras, whose pixels are stored with 16: the first that holds all values of an image

ORIENTATION = 0x0112  # EXIF's tag
QUARTER_TURNS = (5, 6, 7, 8)  # its values that swap width and height

# Above Image.MAX_IMAGE_PIXELS (89 million) Pillow only warns, and decodes up to a gigabyte; here it refuses.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


class WrongSize(UserError):
    """Raised if an image can be read but does not have its declared size. `actual` is its (height, width)."""

    def __init__(self, path: Path, actual: tuple[int, int], declared: tuple[int, int]):
        super().__init__(
            f"{path} is {actual[1]} x {actual[0]} pixels, not {declared[1]} x {declared[0]} as declared;"
            " correct the declaration, or the file"
        )
        self.actual = actual


def decode(path: Path, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """The image, turned as its EXIF orientation says. Grey, palette, transparent, CMYK and 16-bit images become RGB.

    `size` is the declared (height, width). If only the stored image has it, before turning, that one is returned: then the
    annotator saw the stored image. UserError: the file is not such an image. WrongSize: it has another size.
    """
    with opened(path) as stored:
        turned = ImageOps.exif_transpose(stored)
        views = (view for view in (turned, stored) if size in (None, (view.height, view.width)))
        pixels = next((rgb(view) for view in views), None)
    if pixels is None:
        assert size is not None  # without a declared size the first view is taken
        raise WrongSize(path, (turned.height, turned.width), size)
    return pixels


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Opens an image file. UserError names the file: it is missing or no image, or any error occurs while it is open."""
    try:
        with Image.open(path, formats=FORMATS) as stored:
            yield stored
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise UserError(f"{path} cannot be read: it is none of {', '.join(FORMATS)}; save it as one of these") from None
    except Exception as error:  # a decoder may raise nearly anything for a damaged file
        reason = str(error) or type(error).__name__
        raise UserError(f"{path} cannot be read ({reason}); save it again, with 8 bits per channel") from None


def stored_size(path: Path) -> tuple[tuple[int, int], bool]:
    """The (height, width) of the stored image and whether it is shown turned by a quarter, from the header.

    UserError names the file: it cannot be read.
    """
    with opened(path) as stored:
        return (stored.height, stored.width), stored.getexif().get(ORIENTATION) in QUARTER_TURNS


def shown_size(path: Path) -> tuple[int, int]:
    """The (height, width) at which an image is shown, from its header. UserError names the file: it cannot be read."""
    (height, width), turned = stored_size(path)
    return (width, height) if turned else (height, width)


def rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels as 8-bit RGB; transparency is dropped. ValueError: they are 32-bit numbers."""
    if image.mode.startswith("I;16"):  # grey, which Pillow's convert would clip at 255
        values = np.asarray(image)
        bits = next(bits for bits in DEPTHS if values.max(initial=0) < 2**bits)
        return np.stack([(values >> (bits - 8)).astype(np.uint8)] * 3, axis=-1)
    if image.mode in ("I", "F"):
        raise ValueError("its pixels are 32-bit numbers, and no range of brightness is known for them")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))
