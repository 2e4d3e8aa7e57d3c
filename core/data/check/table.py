"""Counts and sizes of an instances file."""

import numpy as np

from core.data.check.boxes import boxes_of
from core.data.check.case import Case

AREAS = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}  # COCO's, in square pixels


def table(case: Case) -> dict:
    """Plain numbers, without records that are broken; for each class its boxes, these by area, and its images."""
    found, boxes = case.instances, boxes_of(case).right
    counts = np.bincount(found.image, minlength=len(found.image_ids))
    usable = ~found.crowd & (boxes[:, 2:] > 0).all(1)
    return {
        "broken": len({fault.place for fault in case.broken} - {None}),
        "images": len(found.image_ids),
        "images_without_boxes": int((counts == 0).sum()),
        "boxes": int((~found.crowd).sum()),
        "crowd": int(found.crowd.sum()),
        "image_width": spread(found.sizes[:, 1]),
        "image_height": spread(found.sizes[:, 0]),
        "boxes_per_image": spread(counts),
        "box_width": spread(boxes[usable, 2]),
        "box_height": spread(boxes[usable, 3]),
        "classes": [
            of_class(case, label, ~found.crowd & (found.label == label)) for label in range(len(found.categories))
        ],
    }


def of_class(case: Case, label: int, rows: np.ndarray) -> dict:
    found, category = case.instances, case.instances.categories[label]
    areas = found.areas[rows]
    sizes = {name: int(((areas >= low) & (areas < high)).sum()) for name, (low, high) in AREAS.items()}
    images = len(np.unique(found.image[rows]))
    return {"id": category.id, "name": category.name, "boxes": len(areas), **sizes, "images": images}


def spread(values: np.ndarray) -> list[float] | None:
    """Least, median and most."""
    return None if len(values) == 0 else np.quantile(values, [0, 0.5, 1]).round(3).tolist()
