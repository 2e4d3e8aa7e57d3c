"""Pictures of detections: boxes with the names of their classes and their scores, drawn on the image."""

from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from core.data.layouts.split import SUFFIXES
from core.metrics.detections import Detections
from core.terminal import printable

LONGEST = 1920  # pixels of the longer side of a picture, at most
QUALITY = 90  # of JPEG files
# Ten colours that are easy to tell apart, matplotlib's tab10.
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")


def save_picture(
    path: Path, pixels: UInt8[Tensor, "3 h w"], detections: Detections, original: Sequence[int], names: Sequence[str]
) -> None:
    """Writes the image with its detections, the best on top, in the format of the file's ending.

    `original` is the (height, width) in whose pixels the boxes are; `names` are those of the classes.
    """
    image = Image.fromarray(rearrange(pixels, "c h w -> h w c").contiguous().numpy())
    height, width = original
    scale = torch.tensor([image.width / width, image.height / height] * 2)
    pen = ImageDraw.Draw(image)
    columns = (detections.boxes * scale, detections.labels, detections.scores)
    for box, label, score in reversed(list(zip(*(x.tolist() for x in columns)))):
        draw_box(pen, image.size, box, f"{printable(names[label])} {score:.2f}", COLOURS[label % len(COLOURS)])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=QUALITY)


def picture_name(name: str, names: Collection[str]) -> str:
    """The file name of the picture of the image `name`: the same, or with ".jpg" added until it ends as pictures do.

    None of the other images, which `names` are, has that file name.
    """
    if Path(name).suffix.lower() in SUFFIXES:
        return name
    while (name := f"{name}.jpg") in names:
        pass
    return name


def draw_box(pen: ImageDraw.ImageDraw, size: tuple[int, int], box: list[float], text: str, colour: str) -> None:
    """Draws one box (x0, y0, x1, y1), clipped to the image of (width, height) `size`, with its text above or inside it."""
    limits = (size[0] - 1, size[1] - 1) * 2
    x0, y0, x1, y1 = (min(max(value, 0), limit) for value, limit in zip(box, limits))
    if x1 <= x0 or y1 <= y0:
        return
    pen.rectangle((x0, y0, x1, y1), outline=colour, width=max(1, max(size) // 400))
    letters = font(max(9, max(size) // 60))
    wide, high = pen.textbbox((0, 0), text, font=letters)[2:]
    left, top = max(0, min(x0, size[0] - wide)), y0 - high if y0 >= high else y0
    pen.rectangle((left, top, left + wide, top + high), fill=colour)
    pen.text((left, top), text, fill="white", font=letters)


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """A font with the letters of most alphabets, which matplotlib brings."""
    import matplotlib  # a machine that only trains need not have it

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)
