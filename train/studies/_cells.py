"""Draws photos of a blood smear, with boxes in COCO format: many red cells, few white ones, and platelets of 12 pixels.

They stand for what people train on (the BCCD set is of such photos): up to 36 objects in an image, and one class so small
that it vanishes at the size of the laptop's recipes. The same numbers always draw the same photo.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image

from core.files import write_json

WIDTH, HEIGHT = 640, 480
CLASSES = ("platelet", "red", "white")
DIAMETERS = {"platelet": (10, 14), "red": (62, 96), "white": (110, 150)}  # pixels
COUNTS = {"platelet": (1, 6), "red": (10, 28), "white": (0, 2)}  # in an image
INSIDE = {"platelet": (128, 96, 168), "red": (226, 178, 172), "white": (206, 188, 214)}
NUCLEUS, GROUND, PALE = (112, 66, 150), (238, 228, 214), (240, 214, 206)
EDGE = 1.5  # pixels over which a cell's border fades
APART = 0.75  # of the sum of two radii: the least distance of two cells

Cell = tuple[str, float, float, float, float]  # class, middle, and radii along x and y, in pixels


def write_photos(folder: Path, images: int, *, seed: int) -> Path:
    """Draws photos into a folder, with their boxes in `folder`/instances.json, which it returns."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    records, annotations = [], []
    for index in range(images):
        random = np.random.default_rng((seed, index))
        cells, name = scene(random), f"{index:04}.jpg"
        Image.fromarray(photo(cells, random)).save(folder / "images" / name, quality=90)
        records.append({"id": index, "file_name": name, "width": WIDTH, "height": HEIGHT})
        annotations += [{"image_id": index, **annotation(cell)} for cell in cells]
    for number, record in enumerate(annotations, start=1):
        record["id"] = number
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)]
    path = folder / "instances.json"
    write_json(path, {"images": records, "annotations": annotations, "categories": categories})
    return path


def annotation(cell: Cell) -> dict:
    """The entries of a cell's annotation: its class, and its box cut at the border of the image."""
    name, x, y, rx, ry = cell
    left, top, right, bottom = max(x - rx, 0), max(y - ry, 0), min(x + rx, WIDTH), min(y + ry, HEIGHT)
    box = [round(float(value), 1) for value in (left, top, right - left, bottom - top)]
    return {"category_id": CLASSES.index(name) + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}


def scene(random: np.random.Generator) -> list[Cell]:
    """The cells of one image, the largest first; none lies mostly under another, or mostly outside."""
    cells: list[Cell] = []
    for name in ("white", "red", "platelet"):
        low, high = COUNTS[name]
        for _ in range(random.integers(low, high + 1)):
            cells += placed(name, cells, random)
    return cells


def placed(name: str, cells: list[Cell], random: np.random.Generator, tries: int = 20) -> Iterator[Cell]:
    """One more cell at a free place, if one of `tries` places is free."""
    radius = random.uniform(*DIAMETERS[name]) / 2
    rx, ry = radius * random.uniform(0.92, 1.08, 2)
    for _ in range(tries):
        x, y = random.uniform(0, WIDTH), random.uniform(0, HEIGHT)
        if all(np.hypot(x - cell[1], y - cell[2]) > APART * (radius + cell[3]) for cell in cells):
            yield name, x, y, rx, ry
            return


def photo(cells: list[Cell], random: np.random.Generator) -> UInt8[ndarray, "h w 3"]:
    """The picture of the cells, on an unevenly lit ground and with the noise of a camera."""
    left, right, top, bottom = 0.06 * random.uniform(-1, 1, 4)
    across, down = np.linspace(left, right, WIDTH), np.linspace(top, bottom, HEIGHT)
    light = 1 + across[None, :, None] + down[:, None, None]
    image = np.ones((HEIGHT, WIDTH, 3)) * GROUND
    for cell in cells:
        paint(image, cell, random)
    noisy = image * light + random.normal(0, 5, image.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def paint(image: Float[ndarray, "h w 3"], cell: Cell, random: np.random.Generator) -> None:
    """Draws a cell into the image: red cells have a pale middle, white ones a nucleus of three lobes."""
    name, x, y, rx, ry = cell
    colour = np.array(INSIDE[name]) + random.normal(0, 6, 3)
    blend(image, colour, x, y, rx, ry)
    if name == "red":
        blend(image, np.array(PALE), x, y, rx * 0.45, ry * 0.45, fade=0.3 * rx)
    if name == "white":
        for dx, dy in random.uniform(-0.3, 0.3, (3, 2)):
            blend(image, np.array(NUCLEUS) + random.normal(0, 6, 3), x + dx * rx, y + dy * ry, rx * 0.4, ry * 0.4)


def blend(
    image: Float[ndarray, "h w 3"], colour: ndarray, x: float, y: float, rx: float, ry: float, fade: float = EDGE
) -> None:
    """Mixes an ellipse of a colour into the image; its border fades over `fade` pixels."""
    reach = int(fade) + 2
    top, left = max(int(y - ry) - reach, 0), max(int(x - rx) - reach, 0)
    part = image[top : int(y + ry) + reach, left : int(x + rx) + reach]
    rows, columns = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]]
    distance = (np.hypot((columns + 0.5 - x) / rx, (rows + 0.5 - y) / ry) - 1) * min(rx, ry)
    share = (0.5 - distance / fade).clip(0, 1)[..., None]
    part += share * (colour - part)
