"""A run of data whose classes, files and folders have hostile and odd names."""

import json
from dataclasses import replace
from pathlib import Path

from PIL import Image

from tests.helpers import runs, tiny
from tests.helpers.hostile import NAMES
from train.engine import loop


def names_a_file(name: str) -> bool:
    """Returns whether a file system takes the name, and an annotation file takes it as that of an image."""
    return len(name) < 200 and not set("/\\\ud800").union(map(chr, range(32))) & set(name)


FILES = tuple(name for name in NAMES if names_a_file(name))
FIRST = 7  # the id of the first image, and of its object
ODD = "".join(FILES)[:60] + "\x1b[2J\n"  # a folder's name; a file system takes these as well
PLAIN = "".join(filter(str.isprintable, FILES))[-60:]  # one that a setting takes, too


def write_data(folder: Path) -> Path:
    """Writes an annotation file in which every name is a class, and every one in `FILES` an image with an object of it."""
    (folder / "images").mkdir(parents=True)
    images, objects = [], []
    for k, name in enumerate(FILES, start=FIRST):
        Image.new("RGB", (48, 48), (5 * k, 90, 200 - k)).save(folder / "images" / f"{name}.png")
        images.append({"id": k, "file_name": f"{name}.png", "width": 48, "height": 48})
        box = {"bbox": [4, 4, 20, 30], "area": 600, "iscrowd": 0}
        objects.append({"id": k, "image_id": k, "category_id": k - FIRST + 1} | box)
    classes = (*FILES, *(name for name in NAMES if name not in FILES))
    categories = [{"id": k, "name": name} for k, name in enumerate(classes, start=1)]
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": objects, "categories": categories}))
    return path


def train_named(folder: Path) -> Path:
    """Writes such data into `folder`/data and trains on it, in a folder beside it whose name is odd; returns the run."""
    file = write_data(folder / "data")
    data = replace(
        runs.DATA, kind="coco", train=file, val=file, images=file.parent / "images", train_limit=4, val_limit=None
    )
    student = tiny.config("adamixer", classes=len(NAMES))
    return loop.fit(runs.small(student=student, data=data, optim=replace(runs.OPTIM, epochs=1)), folder / ODD)


def write_yolo(folder: Path) -> None:
    """Writes a folder in YOLO's format in which every name in `FILES` is a class, and an image with an object of it."""
    for part in ("images", "labels"):
        (folder / part / "train").mkdir(parents=True)
    (folder / "data.yaml").write_text(json.dumps({"train": "images/train", "names": FILES}))
    for k, name in enumerate(FILES):
        Image.new("RGB", (48, 48)).save(folder / "images" / "train" / f"{name}.png")
        (folder / "labels" / "train" / f"{name}.txt").write_text(f"{k} 0.5 0.5 0.4 0.4\n")
