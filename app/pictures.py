"""Images of strangers to tensors, and tensors to what a browser shows."""

from base64 import b64encode
from io import BytesIO

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torchvision.transforms.v2 import functional as F

from core.data.sample import Sample
from core.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
BYTES = 20 << 20
PIXELS = 40_000_000
LONGEST = 1600  # pixels of the longer side that a browser gets


def decode(data: bytes) -> Sample:
    """An upright RGB image without objects. UserError on anything but a whole image of bounded size."""
    if len(data) > BYTES:
        raise UserError(f"the image has {len(data) >> 20} MB; at most {BYTES >> 20} are taken")
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
        if image.width * image.height > PIXELS:
            raise UserError(f"the image has {image.width} x {image.height} pixels; at most {PIXELS // 10**6} million are taken")
        upright = ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"that is not a whole image ({', '.join(FORMATS)} are read); save it anew and try again") from None
    original = upright.height, upright.width
    upright.thumbnail((2 * LONGEST, 2 * LONGEST))
    empty = torch.zeros(0, dtype=torch.long)
    return Sample(F.pil_to_tensor(upright), torch.zeros(0, 4), empty, 0, original)


def picture(sample: Sample) -> str:
    """A data URI: nothing is left on disk, and no path is served. Small images stay exact."""
    image = F.to_pil_image(sample.pixels)
    image.thumbnail((LONGEST, LONGEST))
    return encoded(image, "PNG" if max(image.size) < 400 else "JPEG")


def thumbnail(sample: Sample) -> str:
    return encoded(ImageOps.fit(F.to_pil_image(sample.pixels), (96, 96)), "JPEG")


def encoded(image: Image.Image, kind: str) -> str:
    buffer = BytesIO()
    image.save(buffer, kind, **({"quality": 88} if kind == "JPEG" else {}))
    return f"data:image/{kind.lower()};base64,{b64encode(buffer.getvalue()).decode()}"
