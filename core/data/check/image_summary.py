"""What one image file shows."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from core.data.coco.decode import OtherSize, decode
from core.errors import UserError

SIDE = 16  # of the thumbnail


@dataclass(frozen=True)
class ImageSummary:
    """An image that can be read has a size; of its declared size, a digest and a thumbnail too; else a fault."""

    size: tuple[int, int] | None = None  # (height, width)
    digest: bytes = b""  # equal for equal pixels, however they are stored
    thumbnail: UInt8[np.ndarray, "side side 3"] | None = None
    fault: tuple[str, str] | None = None  # kind, and what to say


def summarise_image(path: Path, size: tuple[int, int] | None) -> ImageSummary:
    try:
        pixels = decode(path, size)
    except OtherSize as error:
        return ImageSummary(error.found, fault=("size", f"at {error}"))
    except UserError as error:
        return ImageSummary(fault=("unreadable", f"at {error}"))
    small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX)
    size = pixels.shape[:2]
    return ImageSummary(size, blake2b(pixels, digest_size=16, salt=b"%d %d" % size).digest(), np.asarray(small))


def summarise_images(root: Path, wanted: list[tuple[str, tuple[int, int]]]) -> Iterator[ImageSummary]:
    """In order; Pillow decodes on all processors at once."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            yield from pool.map(lambda key: summarise_image(root / key[0], key[1]), wanted)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
