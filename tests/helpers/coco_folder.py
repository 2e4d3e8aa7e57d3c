"""A small folder in COCO format: three images with annotations."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

CATEGORIES = [{"id": 90, "name": "cat"}, {"id": 0, "name": "none"}, {"id": 7, "name": "dog"}]
SIZE = (24, 32)  # (height, width) of every image
ANNOTATIONS = [  # (id, image, category, box, crowd); image 5 has none
    (3, 12, 90, [1, 2, 10, 12], 0),
    (0, 4, 7, [0.5, 0.25, 30, 20], 0),
    (9, 12, 0, [4, 4, 8, 8], 0),
    (8, 12, 7, [0, 0, 32, 24], 1),
]


def instances() -> dict:
    """The records of the instances file. Ids are sparse and unsorted, and one is 0."""
    return {
        "info": {"year": 2024},
        "images": [{"id": id, "file_name": f"{id}.png", "height": SIZE[0], "width": SIZE[1]} for id in (12, 5, 4)],
        "annotations": [
            {
                "id": id,
                "image_id": image,
                "category_id": category,
                "bbox": box,
                "area": box[2] * box[3] / 2,
                "iscrowd": crowd,
                "segmentation": [[0, 0, 1, 1, 0, 1]],
            }
            for id, image, category, box, crowd in ANNOTATIONS
        ],
        "categories": [dict(c) for c in CATEGORIES],
    }


def picture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A random RGB image of (height, width) `size`."""
    return np.random.default_rng(seed).integers(256, size=(*size, 3), dtype=np.uint8)


def write_folder(folder: Path, value: dict | None = None) -> Path:
    """Writes the images and the instances file, and returns the path of the latter. `value` replaces `instances()`."""
    (folder / "images").mkdir(parents=True)
    for id in (12, 5, 4):
        Image.fromarray(picture(id)).save(folder / "images" / f"{id}.png")
    path = folder / "instances.json"
    path.write_text(json.dumps(instances() if value is None else value))
    return path
