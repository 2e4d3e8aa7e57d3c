"""YOLO's folders: a data.yaml with the classes, images, and a text file of boxes for each image."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from core.data.decode import shown_size
from core.data.layouts.split import ALIASES, Split, image_files, records
from core.errors import UserError
from core.files import read_text


def find(root: Path, split: str) -> Split | None:
    """The split of a folder or a data.yaml; None if it is none, or has no such split. UserError: it cannot be read."""
    path = root if root.is_file() else the_yaml(root)
    if path is None:
        return None
    data = read_yaml(path)
    value = next((data[alias] for alias in ALIASES[split] if data.get(alias)), None)
    if value is None:
        return None
    images = list(listed_images(path, data, value if type(value) is list else [value]))
    if not images:
        raise UserError(f"{path}: {split} {value} has no images; correct the path")
    names = class_names(path, data)
    absolute = [Path(os.path.abspath(image)) for image in images]
    folder = common_folder(absolute)
    rows = (
        (str(file.relative_to(folder)), size, boxes(image, size, names))
        for image, file in zip(images, absolute)
        for size in [shown_size(image)]
    )
    return Split(path, folder, records(rows, names), split)


def the_yaml(root: Path) -> Path | None:
    """The file of a folder that names classes and splits. UserError: there are labels, but no such file."""
    files = [root / "data.yaml", root / "dataset.yaml", *sorted([*root.glob("*.yaml"), *root.glob("*.yml")])]
    yaml_file = next((path for path in files if path.is_file() and "names" in read_yaml(path)), None)
    if yaml_file is None and (root / "labels").is_dir() and next((root / "labels").rglob("*.txt"), None):
        raise UserError(f"{root} looks like YOLO's, without data.yaml; write one with train, val and names")
    return yaml_file


def read_yaml(path: Path) -> dict[str, Any]:
    """The entries of a YAML file; none if it holds something else. UserError: it is no YAML."""
    text = read_text(path)
    try:
        data = yaml.safe_load(text)
    except Exception as error:  # of nearly any kind where a value does not fit its tag, such as a date 2024-02-30
        raise UserError(f"{path} is not a YAML file ({' '.join(str(error).split())[:200]}); correct it") from None
    return data if type(data) is dict else {}


def class_names(path: Path, data: dict[str, Any]) -> dict[int, str]:
    """The classes by number. UserError: the file lists none."""
    names = data.get("names")
    if type(names) is list:
        names = dict(enumerate(names))
    if type(names) is not dict or not names or not all(type(key) is int for key in names):
        raise UserError(f"{path} has no list of names; write the classes under names")
    return {key: str(name) for key, name in names.items()}


def listed_images(path: Path, data: dict[str, Any], values: list) -> Iterator[Path]:
    """The images that the entry of a split names: folders, or text files with an image a line. UserError: one is missing."""
    for value in map(str, values):
        place = next((p for p in places(path, data, value) if p.exists()), None)
        if place is None:
            raise UserError(f"{path} names {value}, which does not exist; correct the path")
        if place.is_dir():
            yield from image_files(place)
        else:
            lines = filter(None, map(str.strip, read_text(place).splitlines()))
            yield from ((p if p.exists() else place.parent / line) for line in lines for p in [path.parent / line])


def places(path: Path, data: dict[str, Any], value: str) -> list[Path]:
    """Lists where the path of a split may lie: under `path`, seen from the file or from here, or beside the file.

    Roboflow writes ../train/images for what is beside the file.
    """
    root = Path(str(data.get("path") or "."))
    return [path.parent / root / value, root / value, path.parent / value, path.parent / value.removeprefix("../")]


def common_folder(images: list[Path]) -> Path:
    """The deepest folder that holds all of the images, whose paths are absolute."""
    folder = images[0].parent
    while not all(image.is_relative_to(folder) for image in images):
        folder = folder.parent
    return folder


def boxes(image: Path, size: tuple[int, int], names: dict[int, str]) -> Iterator[dict]:
    """The objects of the label file of an image, which may be missing. UserError: a line is wrong."""
    labels = label_file(image)
    if not labels.exists() or labels.is_dir():
        return
    for number, line in enumerate(read_text(labels).splitlines(), start=1):
        words = line.split()
        if words:
            try:
                class_, *values = map(float, words)
            except ValueError:
                values, class_ = [], -1.0
            sound = len(values) == 4 or (len(values) >= 6 and len(values) % 2 == 0)
            if class_ not in names or not sound or not all(map(math.isfinite, values)):
                text = f"{labels}: line {number} is {line[:60]!r}; it must be a class of data.yaml, then cx cy width height"
                raise UserError(f"{text} or an outline, as fractions of the image")
            yield {"category_id": int(class_), "bbox": pixels(values, size)}


def label_file(image: Path) -> Path:
    """The text file of an image: in `labels` in place of the last `images` of its path, or beside it."""
    parts = list(image.parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[-2::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def pixels(values: list[float], size: tuple[int, int]) -> list[float]:
    """The box [x, y, width, height] in pixels of [cx, cy, width, height] or of an outline, given in fractions."""
    height, width = size
    if len(values) == 4:
        cx, cy, w, h = values
        x, y = cx - w / 2, cy - h / 2
    else:
        xs, ys = values[::2], values[1::2]
        x, y, w, h = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    return [round(v, 3) for v in (x * width, y * height, w * width, h * height)]
