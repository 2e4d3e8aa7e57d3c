"""Average precision as COCO defines it.

The numbers equal those of pycocotools to 1e-9; faster_coco_eval, its port to C++, takes an eighth of the time.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.data.category import Category
from core.metrics.detections import Detections

if TYPE_CHECKING:
    from faster_coco_eval import COCO, COCOeval_faster

NUMBERS = ("ap", "ap50", "ap75", "aps", "apm", "apl")  # the first six of COCOeval.stats
SIZES = {"aps": "small", "apm": "medium", "apl": "large"}  # of objects
# Ranges of the number of objects in an image, ends included.
Ranges = Mapping[str, tuple[int, int | float]]
OBJECT_COUNTS: Ranges = {"1 or 2": (1, 2), "3 to 5": (3, 5), "6 or more": (6, float("inf"))}


def average_precision(truth: dict, detections: list[Detections], categories: Sequence[Category]) -> dict:
    """AP over IoU 0.5 to 0.95, at 0.5, at 0.75, of small, medium and large objects (NUMBERS), and "per_class" by name.

    Each is 0 .. 1, or None if the truth has no such object. `truth` is a COCO instances dict; labels of detections are positions
    in `categories`. All are None on a machine without faster-coco-eval, of which `note_on_ap` tells.
    """
    if note_on_ap():
        return dict.fromkeys(NUMBERS) | {"per_class": {}}
    from faster_coco_eval import COCOeval_faster

    results = truth | {"annotations": coco_results(detections, categories)}
    evaluation = COCOeval_faster(coco_index(numbered(truth)), coco_index(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    numbers = {key: none_if_undefined(value) for key, value in zip(NUMBERS, evaluation.stats)}
    return numbers | {"per_class": per_class(evaluation, categories)}


def note_on_ap() -> str:
    """A sentence if AP cannot be measured on this machine; "" if it can."""
    return "" if find_spec("faster_coco_eval") else "AP is not measured: pip install faster-coco-eval"


def ap_by_object_count(
    truth: dict,
    detections: list[Detections],
    categories: Sequence[Category],
    ranges: Ranges = OBJECT_COUNTS,
) -> dict[str, dict]:
    """`average_precision` over the images whose number of objects is in each range, and their number ("images").

    Crowd regions do not count as objects.
    """
    counts = Counter(a["image_id"] for a in truth["annotations"] if not a.get("iscrowd", 0))
    scores = {}
    for name, (low, high) in ranges.items():
        ids = {id for id, count in counts.items() if low <= count <= high}
        scores[name] = {"images": len(ids)} | average_precision(*restricted_to(ids, truth, detections), categories)
    return scores


def restricted_to(ids: Collection[int], truth: dict, detections: list[Detections]) -> tuple[dict, list[Detections]]:
    """The part of truth and detections that belongs to the images with these ids."""
    image_ids = torch.tensor(sorted(ids), dtype=torch.long)
    images = [i for i in truth["images"] if i["id"] in ids]
    annotations = [a for a in truth["annotations"] if a["image_id"] in ids]
    parts = [d.at(torch.isin(d.image_ids, image_ids)) for d in detections]
    return truth | {"images": images, "annotations": annotations}, parts


def numbered(truth: dict) -> dict:
    """A copy of the truth with annotation ids from 1.

    COCOeval writes into the annotations, and takes a match with id 0 for no match.
    """
    return truth | {"annotations": [a | {"id": k} for k, a in enumerate(truth["annotations"], start=1)]}


def coco_index(dataset: dict) -> "COCO":
    """A COCO object over a dict, without a file."""
    from faster_coco_eval import COCO

    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def coco_results(detections: list[Detections], categories: Sequence[Category]) -> list[dict]:
    """Detections as entries of a COCO results file, with the category ids of the annotation file."""
    ids = [c.id for c in categories]
    rows = (row for d in detections for row in zip(*(x.tolist() for x in (d.boxes, d.scores, d.labels, d.image_ids))))
    return [
        coco_result(id, box, score, ids[label], image) for id, (box, score, label, image) in enumerate(rows, start=1)
    ]


def coco_result(id: int, box: list[float], score: float, category: int, image: int) -> dict:
    """One entry of a COCO results file; `box` is (x0, y0, x1, y1) in pixels."""
    x, y, width, height = box[0], box[1], box[2] - box[0], box[3] - box[1]
    return {
        "id": id,
        "image_id": image,
        "category_id": category,
        "bbox": [x, y, width, height],
        "area": width * height,
        "score": score,
        "iscrowd": 0,
    }


def per_class(evaluation: "COCOeval_faster", categories: Sequence[Category]) -> dict[str, float | None]:
    """AP over IoU 0.5 to 0.95 of each class, by name; None for a class without objects."""
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # IoU, recall, class; all sizes, most detections
    column = {id: precision[:, :, k] for k, id in enumerate(evaluation.params.catIds)}
    return {c.name: none_if_undefined(mean_of_defined(column[c.id])) for c in categories}


def mean_of_defined(values: np.ndarray) -> float:
    """Mean of the values above -1, which stands for undefined; -1 if there are none."""
    defined = values[values > -1]
    return defined.mean() if defined.size else -1.0


def none_if_undefined(value: float) -> float | None:
    """COCOeval's number, with None for its -1."""
    return None if value < 0 else float(value)
