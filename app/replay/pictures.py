"""Images of strangers to samples, and samples to what a browser shows."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as F

from core.data.coco.dataset import read_picture
from core.data.coco.decode import FORMATS
from core.data.sample import Sample
from core.errors import UserError

BYTES = 20 << 20  # of an upload
PIXELS = 40_000_000  # of an upload
SIDE = 2000  # pixels of the longer side of an upload that are kept
LONGEST = 1600  # pixels of the longer side that a browser gets
THUMB = 96  # pixels


def read_upload(path: Path) -> Sample:
    """An image without objects. UserError on anything but a whole image of bounded size."""
    if path.stat().st_size > BYTES:
        raise UserError(f"that file has more than {BYTES >> 20} MB; upload a smaller image")
    try:
        with Image.open(path, formats=FORMATS) as image:
            count = image.width * image.height
    except Image.DecompressionBombError:
        raise UserError(
            f"that image has far more than {PIXELS // 10**6} million pixels; upload a smaller one"
        ) from None
    except Exception:  # a decoder may raise nearly anything on a broken file
        raise UserError(f"that file is not an image that can be read; upload one of {', '.join(FORMATS)}") from None
    if count > PIXELS:
        raise UserError(f"that image has {count / 1e6:.0f} million pixels; at most {PIXELS // 10**6} million are taken")
    try:
        pixels = read_picture(path)
    except UserError:
        raise UserError("that image is damaged; save it anew and upload it again") from None
    scale = SIDE / max(pixels.shape)
    if scale < 1:
        pixels = F.resize(pixels, [max(1, round(x * scale)) for x in pixels.shape[1:]], antialias=True)
    none = torch.zeros(0, dtype=torch.long)
    return Sample(pixels, torch.zeros(0, 4), none, 0, (pixels.shape[-2], pixels.shape[-1]))


def picture(sample: Sample) -> str:
    """A data URI: nothing is left on disk, and no path is served. Small images stay exact."""
    image = F.to_pil_image(sample.pixels)
    image.thumbnail((LONGEST, LONGEST))
    return encode(image, "PNG" if max(image.size) < 400 else "JPEG")


def thumbnail(sample: Sample) -> str:
    return encode(ImageOps.fit(F.to_pil_image(sample.pixels), (THUMB, THUMB)), "JPEG")


def encode(image: Image.Image, kind: str) -> str:
    buffer = BytesIO()
    image.save(buffer, kind, **({"quality": 88} if kind == "JPEG" else {}))
    return f"data:image/{kind.lower()};base64,{b64encode(buffer.getvalue()).decode()}"
