"""A COCO instances file: every record is checked, then all are kept as arrays."""

import gc
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from core.data.category import Category
from core.data.coco.corrections import any_lacks_box, correct, keep_needed_outline
from core.data.coco.folder import ImageFolder
from core.data.coco.foreign import LVIS, advice, is_lvis
from core.data.coco.rules import find_faults
from core.errors import UserError
from core.files import read_bytes

MOST_EXPANDED = 2 * 2**30  # bytes of a .gz file's content; COCO's largest annotation file has 0.5 * 2**30
CHUNK = 2**20  # bytes that are expanded at once
SEGMENTATION = re.compile(rb'"segmentation"\s*:\s*\[[\[\]\d.,eE+\-\s]*\]')  # polygons: two thirds of COCO's bytes


@dataclass(frozen=True)
class Instances:
    """The records of a file. Annotations are sorted by image. `image` and `label` are indices; the rest is as in the file."""

    categories: tuple[Category, ...]  # by id
    image_ids: tuple[int, ...]
    names: tuple[str, ...]  # of the image files
    sizes: Int[ndarray, "i 2"]  # (height, width)
    ids: Int[ndarray, " a"]  # of the annotations
    image: Int[ndarray, " a"]  # index into image_ids
    label: Int[ndarray, " a"]  # index into categories
    boxes: Float[ndarray, "a 4"]  # (x, y, width, height) in pixels
    areas: Float[ndarray, " a"]
    crowd: Bool[ndarray, " a"]
    note: str = ""  # what was read otherwise than it is written, see `corrections.correct`

    def rows_of(self, image: int) -> slice:
        """The rows of the annotations of one image, given by its index."""
        first, last = np.searchsorted(self.image, [image, image + 1])
        return slice(int(first), int(last))


def read_instances(path: Path, images: Path | None = None, file: dict | None = None) -> Instances:
    """Reads an instances file, or takes its records from `file`. UserError names the first record that is wrong.

    `images` is the folder in which the names of image files are found.
    """
    with garbage_collector_paused():
        file = parse_without_segmentations(path) if file is None else file
        note = correct(file, listable(images))
        for fault in find_faults(file):
            raise UserError(f"{path}: {fault}")
        return replace(assemble(file), note=note)


def listable(images: Path | None) -> ImageFolder | None:
    """The folder of images; None if it cannot be listed, which is reported when its files are needed."""
    try:
        return ImageFolder(images) if images else None
    except UserError:
        return None


def assemble(file: dict) -> Instances:
    """The arrays of a file's records, which must be without faults. A missing area is that of the box."""
    images, annotations = file["images"], file["annotations"]
    classes = sorted((Category(c["id"], c["name"]) for c in file["categories"]), key=lambda c: c.id)
    rows = {image["id"]: row for row, image in enumerate(images)}
    labels = {c.id: label for label, c in enumerate(classes)}
    image = np.array([rows[a["image_id"]] for a in annotations], dtype=np.int64)
    order = np.argsort(image, kind="stable")
    boxes = np.array([a["bbox"] for a in annotations], dtype=np.float64).reshape(-1, 4)
    areas = np.array([a.get("area", a["bbox"][2] * a["bbox"][3]) for a in annotations], dtype=np.float64)
    return Instances(
        tuple(classes),
        tuple(rows),
        tuple(i["file_name"] for i in images),
        np.array([(i["height"], i["width"]) for i in images], dtype=np.int64).reshape(-1, 2),
        np.array([a["id"] for a in annotations], dtype=np.int64)[order],
        image[order],
        np.array([labels[a["category_id"]] for a in annotations], dtype=np.int64)[order],
        boxes[order],
        areas[order],
        np.array([a.get("iscrowd", 0) for a in annotations], dtype=bool)[order],
    )


def parse_without_segmentations(path: Path) -> dict:
    """The file as a dict with its three lists, whose records may be anything. UserError: it is not such a file.

    Polygons are cut out before the JSON is parsed, which saves most of the time and memory. They stay in records without a box.
    """
    try:
        data = json.loads(SEGMENTATION.sub(b'"segmentation":0', read_raw(path)), object_hook=drop_segmentation)
    except (ValueError, RecursionError):
        return parse(path, read_raw(path))  # its error names the position in the file as it is
    file = require_lists(path, data)
    return parse(path, read_raw(path), keep_needed_outline) if any_lacks_box(file) else file


def read_raw(path: Path) -> bytes:
    """The bytes of an annotation file, expanded if its name ends in .gz. UserError: it cannot be read, or expands too far."""
    try:
        return expanded(path) if path.suffix == ".gz" else read_bytes(path)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read ({reason}); name the annotation file") from None


def expanded(path: Path) -> bytes:
    """The content of a .gz file. UserError: it has more than MOST_EXPANDED bytes, which a file of a thousandth can hold."""
    file, left = gzip.GzipFile(fileobj=io.BytesIO(read_bytes(path))), MOST_EXPANDED
    chunks: list[bytes] = []
    while chunk := file.read(CHUNK):
        chunks.append(chunk)
        left -= len(chunk)
        if left < 0:
            raise UserError(
                f"{path} expands to more than {MOST_EXPANDED / 2**30:.3g} GiB; if it is meant to, expand it by gunzip and"
                " name the .json file"
            )
    return b"".join(chunks)


def parse(path: Path, raw: bytes, hook: Callable[[dict], dict] | None = None) -> dict:
    """The same as `parse_without_segmentations`, but all of `raw` is parsed; segmentations stay unless `hook` drops them."""
    try:
        data = json.loads(raw, object_hook=hook)
    except (ValueError, RecursionError) as error:
        if path.suffix == ".jsonl":
            raise UserError(f"{path} has a JSON object a line; join them to one COCO instances file") from None
        raise UserError(f"{path} is not a JSON file ({error}); export the annotations again") from None
    return require_lists(path, data)


def require_lists(path: Path, data: Any) -> dict:
    """The data. UserError: it lacks one of the three lists of an instances file, or it is of LVIS."""
    for section in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(section), list):
            reason = advice(data) or "it must be a COCO instances file"
            raise UserError(f"{path} has no list of {section}; {reason}")
    if is_lvis(data["images"]):
        raise UserError(f"{path} is not read: {LVIS}")
    return data


def drop_segmentation(record: dict) -> dict:
    """The record without its segmentation; a hook of the JSON parser."""
    record.pop("segmentation", None)
    return record


@contextmanager
def garbage_collector_paused() -> Iterator[None]:
    """Pauses Python's search for reference cycles, which would walk again and again over millions of new records without any."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
