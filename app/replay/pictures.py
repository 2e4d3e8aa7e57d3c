"""Reads uploaded image files as samples, and writes samples as data URIs, which a browser shows without another request."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as F

from core.data.coco.dataset import read_image
from core.data.decode import FORMATS
from core.data.sample import Sample
from core.errors import UserError

UPLOAD_BYTES = 20 << 20  # at most, of an uploaded file
UPLOAD_PIXELS = 40_000_000  # at most, of an uploaded image
UPLOAD_SIDE = 2000  # pixels: a longer upload is scaled down until its longer side has as many
PAGE_SIDE = 1600  # pixels of the longer side of the picture on the page, at most
THUMBNAIL_SIDE = 96  # pixels, of a square


def read_upload(path: Path) -> Sample:
    """Reads an uploaded file as a sample without objects.

    UserError: the file is no image, is damaged or is too large.
    """
    if path.stat().st_size > UPLOAD_BYTES:
        raise UserError(f"that file has more than {UPLOAD_BYTES >> 20} MB; upload a smaller image")
    try:
        with Image.open(path, formats=FORMATS) as image:
            count = image.width * image.height
    except Image.DecompressionBombError:
        raise UserError(
            f"that image has far more than {UPLOAD_PIXELS // 10**6} million pixels; upload a smaller one"
        ) from None
    except Exception:  # a decoder may raise nearly anything on a broken file
        raise UserError(f"that file is not an image that can be read; upload one of {', '.join(FORMATS)}") from None
    if count > UPLOAD_PIXELS:
        raise UserError(
            f"that image has {count / 1e6:.0f} million pixels; at most {UPLOAD_PIXELS // 10**6} million are taken"
        )
    try:
        pixels = read_image(path)
    except UserError:
        raise UserError("that image is damaged; save it again, then upload it") from None
    scale = UPLOAD_SIDE / max(pixels.shape)
    if scale < 1:
        pixels = F.resize(pixels, [max(1, round(x * scale)) for x in pixels.shape[1:]], antialias=True)
    none = torch.zeros(0, dtype=torch.long)
    return Sample(pixels, torch.zeros(0, 4), none, 0, (pixels.shape[-2], pixels.shape[-1]))


def picture_uri(sample: Sample) -> str:
    """The picture of a sample as a data URI: PNG for a small image, whose pixels stay exact, and JPEG for a large one."""
    image = F.to_pil_image(sample.pixels)
    image.thumbnail((PAGE_SIDE, PAGE_SIDE))
    return data_uri(image, "PNG" if max(image.size) < 400 else "JPEG")


def thumbnail_uri(sample: Sample) -> str:
    """The middle of the picture as a small square JPEG in a data URI."""
    return data_uri(ImageOps.fit(F.to_pil_image(sample.pixels), (THUMBNAIL_SIDE, THUMBNAIL_SIDE)), "JPEG")


def data_uri(image: Image.Image, kind: str) -> str:
    """An image as a data URI; `kind` is "PNG" or "JPEG"."""
    buffer = BytesIO()
    image.save(buffer, kind, **({"quality": 88} if kind == "JPEG" else {}))
    return f"data:image/{kind.lower()};base64,{b64encode(buffer.getvalue()).decode()}"
