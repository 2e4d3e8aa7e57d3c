"""A COCO instances file, checked to the last record and kept as arrays."""

import gc
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from core.data.category import Category
from core.data.coco.rules import faults
from core.errors import UserError

OUTLINE = re.compile(rb'"segmentation"\s*:\s*\[[\[\]\d.,eE+\-\s]*\]')  # two thirds of COCO's bytes


@dataclass(frozen=True)
class Instances:
    """Annotations are sorted by image; `image` and `label` are indices, all else is as in the file."""

    categories: tuple[Category, ...]  # by id
    image_ids: tuple[int, ...]
    names: tuple[str, ...]  # of the image files
    sizes: Int[ndarray, "i 2"]  # (height, width)
    ids: Int[ndarray, " a"]
    image: Int[ndarray, " a"]
    label: Int[ndarray, " a"]
    boxes: Float[ndarray, "a 4"]  # (x, y, width, height) in pixels
    areas: Float[ndarray, " a"]
    crowd: Bool[ndarray, " a"]

    def of(self, image: int) -> slice:
        """Its annotations."""
        first, last = np.searchsorted(self.image, [image, image + 1])
        return slice(int(first), int(last))


def read_instances(path: Path) -> Instances:
    """UserError names the first record that is wrong."""
    with without_collector():
        file = load(path)
        for fault in faults(file):
            raise UserError(f"{path}: {fault}")
        return assemble(file)


def assemble(file: dict) -> Instances:
    """Of records without a fault."""
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


def load(path: Path) -> dict:
    """The file with its three lists, of whatever; UserError: it is no such file. Outlines are not even parsed."""
    raw = read(path)
    try:
        data = json.loads(OUTLINE.sub(b'"segmentation":0', raw), object_hook=without_outline)
    except (ValueError, RecursionError):
        return parse(path, raw)  # which says where
    return listed(path, data)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name the annotation file") from None


def parse(path: Path, raw: bytes, hook: Callable[[dict], dict] | None = None) -> dict:
    """As `load`, but every byte of it, and with outlines unless the hook drops them."""
    try:
        data = json.loads(raw, object_hook=hook)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a JSON file ({error}); export the annotations anew") from None
    return listed(path, data)


def listed(path: Path, data) -> dict:
    for section in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(section), list):
            raise UserError(f"{path} has no list of {section}; it must be a COCO instances file")
    return data


def without_outline(record: dict) -> dict:
    record.pop("segmentation", None)
    return record


@contextmanager
def without_collector() -> Iterator[None]:
    """Python's search for cycles would walk over millions of new records again and again, and there are none."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
