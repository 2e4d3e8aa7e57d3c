"""The statistics of an instances file: counts and sizes of its images, boxes and classes."""

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from core.data.check.boxes import boxes_of
from core.data.check.case import Case

AREAS = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}  # COCO's, in square pixels


def table(case: Case) -> dict:
    """The statistics as plain numbers. All but `broken` is of sound records only; classes come by id."""
    instances, boxes = case.instances, boxes_of(case).converted
    counts = np.bincount(instances.image, minlength=len(instances.image_ids))
    usable = ~instances.crowd & (boxes[:, 2:] > 0).all(1)
    labels = range(len(instances.categories))
    return {
        "broken": len({fault.place for fault in case.record_faults} - {None}),
        "images": len(instances.image_ids),
        "images_without_boxes": int((counts == 0).sum()),
        "boxes": int((~instances.crowd).sum()),
        "crowd": int(instances.crowd.sum()),
        "image_width": quantiles(instances.sizes[:, 1]),
        "image_height": quantiles(instances.sizes[:, 0]),
        "boxes_per_image": quantiles(counts),
        "box_width": quantiles(boxes[usable, 2]),
        "box_height": quantiles(boxes[usable, 3]),
        "classes": [class_counts(case, label, ~instances.crowd & (instances.label == label)) for label in labels],
    }


def class_counts(case: Case, label: int, rows: Bool[ndarray, " a"]) -> dict:
    """The number of a class's boxes, in all and by area, and of images with at least one. `rows` are its annotations."""
    instances, category = case.instances, case.instances.categories[label]
    areas = instances.areas[rows]
    sizes = {name: int(((areas >= low) & (areas < high)).sum()) for name, (low, high) in AREAS.items()}
    images = len(np.unique(instances.image[rows]))
    return {"id": category.id, "name": category.name, "boxes": len(areas), **sizes, "images": images}


def quantiles(values: ndarray) -> list[float] | None:
    """Minimum, median and maximum."""
    return None if len(values) == 0 else np.quantile(values, [0, 0.5, 1]).round(3).tolist()
