"""A COCO instances file, checked to the last record and kept as arrays."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from core.data.sample import Category
from core.errors import UserError

OUTSIDE = re.compile(r"^/|(^|/)\.\.(/|$)|[\\\x00-\x1f\ud800-\udfff]")  # absolute, climbing, or no name for a file
LARGEST = 2**53  # beyond it neighbouring whole numbers are one float


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
    data = load(path)
    images, annotations, categories = (records(path, data, key) for key in ("images", "annotations", "categories"))
    classes = sorted((category(path, c) for c in categories), key=lambda c: c.id)
    for kind, values in (
        ("category id", (c.id for c in classes)),
        ("category name", (c.name for c in classes)),
        ("image id", (whole(path, "image", i, "id") for i in images)),
        ("annotation id", (whole(path, "annotation", a, "id") for a in annotations)),
    ):
        unique(path, kind, values)
    return assemble(path, classes, images, annotations)


def assemble(path: Path, classes: list[Category], images: list[dict], annotations: list[dict]) -> Instances:
    rows = {image["id"]: row for row, image in enumerate(images)}
    labels = {c.id: label for label, c in enumerate(classes)}
    for annotation in annotations:
        check(path, annotation, rows, labels)
    image = np.array([rows[a["image_id"]] for a in annotations], dtype=np.int64)
    order = np.argsort(image, kind="stable")
    boxes = np.array([a["bbox"] for a in annotations], dtype=np.float64).reshape(-1, 4)
    areas = np.array([a.get("area", a["bbox"][2] * a["bbox"][3]) for a in annotations], dtype=np.float64)
    return Instances(
        tuple(classes),
        tuple(rows),
        tuple(file_name(path, i) for i in images),
        np.array([size(path, i) for i in images], dtype=np.int64).reshape(-1, 2),
        np.array([a["id"] for a in annotations], dtype=np.int64)[order],
        image[order],
        np.array([labels[a["category_id"]] for a in annotations], dtype=np.int64)[order],
        boxes[order],
        areas[order],
        np.array([a.get("iscrowd", 0) for a in annotations], dtype=bool)[order],
    )


def load(path: Path):
    try:
        return json.loads(path.read_bytes(), object_hook=without_outline)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name the annotation file") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a JSON file ({error}); export the annotations anew") from None


def without_outline(record: dict) -> dict:
    """Of COCO's objects they would take gigabytes."""
    record.pop("segmentation", None)
    return record


def records(path: Path, data, key: str) -> list[dict]:
    found = data.get(key) if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise UserError(f"{path} has no list of {key}; it must be a COCO instances file")
    for place, record in enumerate(found):
        if not isinstance(record, dict):
            raise UserError(f"{path}: {key}[{place}] is {repr(record)}; it must be an object with fields")
    if not found and key != "annotations":
        raise UserError(f"{path} has an empty list of {key}; add at least one")
    return found


def unique(path: Path, kind: str, values) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise UserError(f"{path}: {kind} {repr(value)} is given twice; give each its own")
        seen.add(value)


def whole(path: Path, kind: str, record: dict, key: str, least: int = -LARGEST) -> int:
    value = record.get(key)
    if type(value) is not int or not least <= value <= LARGEST:
        rule = "a whole number above 0" if least == 1 else "a whole number"
        raise UserError(f"{path}: {named(kind, record, key)} has {shown(record, key)}; it must be {rule}")
    return value


def text(path: Path, kind: str, record: dict, key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value:
        raise UserError(f"{path}: {named(kind, record, key)} has {shown(record, key)}; it must be a text")
    return value


def named(kind: str, record: dict, key: str) -> str:
    return f"a record of {kind}" if key == "id" else f"{kind} {repr(record.get('id'))}"


def shown(record: dict, key: str) -> str:
    return f"{key} {repr(record[key])}" if key in record else f"no {key}"


def category(path: Path, record: dict) -> Category:
    return Category(whole(path, "category", record, "id"), text(path, "category", record, "name"))


def size(path: Path, record: dict) -> tuple[int, int]:
    return whole(path, "image", record, "height", 1), whole(path, "image", record, "width", 1)


def file_name(path: Path, record: dict) -> str:
    """A path that stays inside the folder of images."""
    name = text(path, "image", record, "file_name")
    if OUTSIDE.search(name):
        raise UserError(
            f"{path}: image {record['id']} has file_name {repr(name)}; it must be a path inside the folder of images"
        )
    return name


def check(path: Path, annotation: dict, rows: dict[int, int], labels: dict[int, int]) -> None:
    for key, known, kind in (("image_id", rows, "image"), ("category_id", labels, "category")):
        if whole(path, "annotation", annotation, key) not in known:
            raise wrong(path, annotation, key, f"no {kind} has that id; add the {kind} or remove the annotation")
    box = annotation.get("bbox")
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) and box[2] >= 0 and box[3] >= 0):
        raise wrong(path, annotation, "bbox", "it must be [x, y, width, height], without NaN or a negative size")
    if not is_number(annotation.get("area", 0)):
        raise wrong(path, annotation, "area", "it must be a number, or left out")
    if annotation.get("iscrowd", 0) not in (0, 1):
        raise wrong(path, annotation, "iscrowd", "it must be 0 or 1, or left out")


def wrong(path: Path, annotation: dict, key: str, rule: str) -> UserError:
    image = "" if key == "image_id" else f" (image {annotation['image_id']})"
    return UserError(f"{path}: annotation {annotation['id']}{image} has {shown(annotation, key)}; {rule}")


def is_number(value) -> bool:
    return type(value) in (int, float) and -LARGEST < value < LARGEST
