"""Photos with an EXIF orientation whose declared size is that of the stored pixels: which of the two views do boxes fit?

Some labelling tools show a phone's photo upright, write boxes for what they show, and the size of what is stored.
"""

from pathlib import Path

import numpy as np

from core.data.coco.folder import ImageFolder
from core.data.coco.rules import are_boxes, are_integers, column, is_box, is_integer, is_text
from core.data.decode import stored_size
from core.errors import UserError

SLACK = 1.0  # pixels by which a box may leave its image: numbers are rounded
TRIED = 50  # photos whose boxes leave the declared size, of which one must carry such an orientation


def turned_images(images: list[dict], annotations: list[dict], folder: ImageFolder) -> list[dict]:
    """The images whose declared size must be turned for their boxes, as all boxes of the file together show.

    These are all photos that are stored lying and shown upright, or the reverse, with the stored size declared, if more of them
    have boxes that fit the shown size only than boxes that fit the stored size only. Files are opened only if a box suggests it.
    """
    reach = far_corners(annotations)
    known = [
        i
        for i in images
        if all(is_integer(i.get(key), 1) for key in ("height", "width")) and is_text(i.get("file_name"))
    ]
    suspects = [i for i in known if fits_only_turned(i, reach)]
    if not any(is_turned(i, folder) for i in suspects[:TRIED]):
        return []
    turned = [i for i in known if is_turned(i, folder)]
    votes = sum(fits_only_turned(i, reach) - fits_only_stored(i, reach) for i in turned)
    return turned if votes > 0 else []


def far_corners(annotations: list[dict]) -> dict[int, tuple[float, float]]:
    """The largest x and y of the boxes of each image, at least 0, by its id. Boxes and ids that break a rule do not count."""
    boxes, images = column(annotations, "bbox"), column(annotations, "image_id")
    if not (are_boxes(boxes) and are_integers(images)):
        pairs = [(box, image) for box, image in zip(boxes, images) if is_box(box) and is_integer(image)]
        boxes, images = [box for box, _ in pairs], [image for _, image in pairs]
    near_and_size = np.array(boxes, dtype=np.float64).reshape(-1, 2, 2)
    ids, rows = np.unique(np.array(images, dtype=np.int64), return_inverse=True)
    reach = np.zeros((len(ids), 2))
    np.maximum.at(reach, rows, near_and_size.sum(1))
    return {id: (x, y) for id, (x, y) in zip(ids.tolist(), reach.tolist())}


def fits_only_turned(image: dict, reach: dict[int, tuple[float, float]]) -> bool:
    """Returns whether the boxes leave the image, but would not if width and height were swapped."""
    x, y = reach.get(image["id"], (0.0, 0.0)) if is_integer(image.get("id")) else (0.0, 0.0)
    return not fits(x, y, image["width"], image["height"]) and fits(x, y, image["height"], image["width"])


def fits_only_stored(image: dict, reach: dict[int, tuple[float, float]]) -> bool:
    """Returns whether the boxes lie in the image, but would not if width and height were swapped."""
    x, y = reach.get(image["id"], (0.0, 0.0)) if is_integer(image.get("id")) else (0.0, 0.0)
    return fits(x, y, image["width"], image["height"]) and not fits(x, y, image["height"], image["width"])


def fits(x: float, y: float, width: int, height: int) -> bool:
    """Returns whether a corner lies in an image, but for SLACK."""
    return x <= width + SLACK and y <= height + SLACK


def is_turned(image: dict, folder: ImageFolder) -> bool:
    """Returns whether the file is shown turned by a quarter and has the declared size before; False if it cannot be read."""
    name = image["file_name"]
    return folder.has(name) and opened_as(folder.root / name, (image["width"], image["height"]))


def opened_as(path: Path, size: tuple[int, int]) -> bool:
    """Returns whether a file stores an image of this (width, height), which is not square, to be turned by a quarter."""
    try:
        (height, width), turned = stored_size(path)
    except UserError:  # which is reported when the image is read
        return False
    return turned and (width, height) == size != size[::-1]
