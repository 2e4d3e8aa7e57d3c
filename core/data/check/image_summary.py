"""A summary of one image file: its size, a digest and a thumbnail of its pixels, or why it cannot be read."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from core.data.decode import WrongSize, decode
from core.errors import UserError

SIDE = 16  # of the thumbnail, in pixels


@dataclass(frozen=True)
class ImageSummary:
    """The summary of one image file. It has all but a fault; or size and fault, if the size is wrong; or only a fault."""

    size: tuple[int, int] | None = None  # (height, width)
    digest: bytes = b""  # equal for equal pixels, whatever the file format
    thumbnail: UInt8[np.ndarray, "side side 3"] | None = None
    fault: tuple[str, str] | None = None  # its kind and its text


def summarise_image(path: Path, size: tuple[int, int] | None) -> ImageSummary:
    """The summary of an image file, given its declared (height, width). None: any size will do."""
    try:
        pixels = decode(path, size)
    except WrongSize as error:
        return ImageSummary(error.actual, fault=("size", f"at {error}"))
    except UserError as error:
        return ImageSummary(fault=("unreadable", f"at {error}"))
    small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX)
    height, width, _ = pixels.shape
    digest = blake2b(pixels.data, digest_size=16, salt=b"%d %d" % (height, width)).digest()
    return ImageSummary((height, width), digest, np.asarray(small))


def summarise_images(root: Path, keys: list[tuple[str, tuple[int, int]]]) -> Iterator[ImageSummary]:
    """The summaries of images given by (file name, declared size), in order. Threads decode on all processors at once."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            yield from pool.map(lambda key: summarise_image(root / key[0], key[1]), keys)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
