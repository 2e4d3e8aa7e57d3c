"""Draws shapes into a COCO folder, for studies of more images than a run could draw at its start; it goes on where it stopped."""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.shapes.dataset import COUNTS, Shapes
from core.data.shapes.scenes import draw_scene, paint, visible_shapes
from core.files import read_json, write_json
from core.progress import watched

CHUNK = 500  # images, after which what is drawn is on disk
QUALITY = 95  # of JPEG


def draw(folder: Path, split: str, count: int, size: int, workers: int = 8) -> Path:
    """The annotation file SPLIT.json of so many images, which are those of `Shapes`; drawn unless it is there."""
    path = folder / f"{split}.json"
    if has_images(path, count):
        return path
    firsts = range(0, count, CHUNK)
    ends = [min(first + CHUNK, count) for first in firsts]
    chunk = partial(draw_chunk, folder, split, size)
    with ProcessPoolExecutor(min(workers, os.cpu_count() or 1, len(firsts)), get_context("spawn")) as pool:
        done = list(watched(pool.map(chunk, firsts, ends), f"drawing shapes {split}", count, each=CHUNK))
    records = [read_json(file) for file in done]
    annotations = [a for record in records for a in record["annotations"]]
    numbered = [a | {"id": number} for number, a in enumerate(annotations, start=1)]
    images = [image for record in records for image in record["images"]]
    categories = [vars(c) for c in Shapes.categories]
    write_json(path, {"images": images, "annotations": numbered, "categories": categories})
    return path


def has_images(path: Path, count: int) -> bool:
    """Returns whether an annotation file is there, of so many images."""
    return path.exists() and len(read_json(path)["images"]) == count


def draw_chunk(folder: Path, split: str, size: int, first: int, end: int) -> Path:
    """Draws the images from `first` to before `end`, unless they are there; returns the file of their records, written last."""
    path = folder / "chunks" / f"{split}-{first}-{end}.json"
    if path.exists():
        return path
    images: list[dict] = []
    annotations: list[dict] = []
    for index in range(first, end):
        name = f"{split}/{index + 1:06}.jpg"
        images.append({"id": index + 1, "file_name": name, "height": size, "width": size})
        annotations += draw_image(folder / name, split, size, index)
    write_json(path, {"images": images, "annotations": annotations})
    return path


def draw_image(path: Path, split: str, size: int, index: int) -> list[dict]:
    """Draws one image, as `Shapes` draws it; returns its annotations."""
    scene = draw_scene(np.random.default_rng((0, list(COUNTS).index(split), index)))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(paint(scene, size)).save(path, quality=QUALITY)
    annotations = []
    for shape in visible_shapes(scene):
        x0, y0, x1, y1 = (float(x) for x in np.asarray(shape.box) * size)
        box = [x0, y0, x1 - x0, y1 - y0]
        about = {"image_id": index + 1, "category_id": Shapes.categories[shape.label].id, "iscrowd": 0}
        annotations.append(about | {"bbox": box, "area": box[2] * box[3]})
    return annotations
