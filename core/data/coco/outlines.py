"""The box of an outline: of polygons, or of a mask in COCO's run-length encoding."""

import re
from types import ModuleType

from core.data.coco.rules import is_integer, is_number
from core.errors import UserError

# Characters of a compressed mask; the last one must end its number, or the decoder would read past the end.
COMPRESSED = re.compile(r"[0-o]*[0-O]", re.ASCII)
LARGEST_SIDE = 100_000  # pixels: beyond it the decoder's 32-bit counts overflow


def box_of(outline: object) -> list[float] | None:
    """The box [x, y, width, height] around a `segmentation`; None if it is none, is damaged, or has no area."""
    box = box_of_polygons(outline) if type(outline) is list else box_of_mask(outline)
    return box if box and box[2] > 0 and box[3] > 0 else None


def box_of_polygons(polygons: list) -> list[float] | None:
    """The box around polygons [x, y, x, y, ...]; one polygon may also be given by itself."""
    parts = polygons if polygons and all(type(p) is list for p in polygons) else [polygons]
    numbers = [number for part in parts for number in part]
    if not numbers or any(len(part) % 2 for part in parts) or not all(map(is_number, numbers)):
        return None
    xs, ys = ([number for part in parts for number in part[axis::2]] for axis in (0, 1))
    return [float(min(xs)), float(min(ys)), float(max(xs) - min(xs)), float(max(ys) - min(ys))]


def box_of_mask(rle: object) -> list[float] | None:
    """The box around a mask {"size": [height, width], "counts": ...}, whose counts are a list or a compressed text."""
    size, counts = (rle.get("size"), rle.get("counts")) if type(rle) is dict else (None, None)
    if type(size) is not list or len(size) != 2 or not all(is_integer(s, 1) and s <= LARGEST_SIDE for s in size):
        return None
    if type(counts) is list and all(is_integer(c, 0) for c in counts) and sum(counts) == size[0] * size[1]:
        mask = decoder()
        return mask.toBbox(mask.frPyObjects({"size": size, "counts": counts}, *size)).tolist()
    if type(counts) is str and COMPRESSED.fullmatch(counts):
        return decoder().toBbox({"size": size, "counts": counts}).tolist()
    return None


def decoder() -> ModuleType:
    """pycocotools' decoder of masks, which a machine that only trains need not have. UserError: it is not installed."""
    try:
        from pycocotools import mask
    except ImportError:
        raise UserError(
            "an annotation has a mask and no bbox, and the box of a mask needs pycocotools: pip install pycocotools"
        ) from None
    return mask
