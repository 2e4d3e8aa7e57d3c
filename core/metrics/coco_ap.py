"""Average precision as COCO defines it: pycocotools' numbers to 1e-9, from its port to C++ in an eighth of its time."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster

from core.data.category import Category
from core.metrics.detections import Detections

NUMBERS = ("ap", "ap50", "ap75", "aps", "apm", "apl")  # the first six of COCOeval.stats
OBJECT_COUNTS = {"1 or 2": (1, 2), "3 to 5": (3, 5), "6 or more": (6, float("inf"))}  # objects in an image


def average_precision(truth: dict, detections: list[Detections], categories: Sequence[Category]) -> dict:
    """AP over IoU .5 to .95, at .5, at .75, of small, medium and large objects, and of each class by name.

    Each is 0 .. 1, or None where the truth holds no such object. `truth` is a COCO instances dict.
    """
    found = truth | {"annotations": coco_results(detections, categories)}
    evaluation = COCOeval_faster(index(numbered(truth)), index(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    numbers = {key: number(value) for key, value in zip(NUMBERS, evaluation.stats)}
    return numbers | {"per_class": per_class(evaluation, categories)}


def ap_by_object_count(
    truth: dict, detections: list[Detections], categories: Sequence[Category], crowds=OBJECT_COUNTS
) -> dict:
    """`average_precision` over the images with so many objects, crowd regions aside, and how many those are ("images")."""
    counts = Counter(a["image_id"] for a in truth["annotations"] if not a.get("iscrowd", 0))
    found = {}
    for name, (low, high) in crowds.items():
        ids = {id for id, count in counts.items() if low <= count <= high}
        found[name] = {"images": len(ids)} | average_precision(*restricted_to(ids, truth, detections), categories)
    return found


def restricted_to(ids: Collection[int], truth: dict, detections: list[Detections]) -> tuple[dict, list[Detections]]:
    """Truth and detections of some images alone."""
    wanted = torch.tensor(sorted(ids), dtype=torch.long)
    images = [i for i in truth["images"] if i["id"] in ids]
    annotations = [a for a in truth["annotations"] if a["image_id"] in ids]
    parts = [d.at(torch.isin(d.image_ids, wanted)) for d in detections]
    return truth | {"images": images, "annotations": annotations}, parts


def numbered(truth: dict) -> dict:
    """A copy, as the evaluation writes into it, with annotation ids from 1, as it takes a match with 0 for none."""
    return truth | {"annotations": [a | {"id": k} for k, a in enumerate(truth["annotations"], start=1)]}


def index(dataset: dict) -> COCO:
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def coco_results(detections: list[Detections], categories: Sequence[Category]) -> list[dict]:
    """As COCO results, with the category ids of the annotation file."""
    ids = [c.id for c in categories]
    rows = (row for d in detections for row in zip(*(x.tolist() for x in (d.boxes, d.scores, d.labels, d.image_ids))))
    return [
        record(count, box, score, ids[label], image) for count, (box, score, label, image) in enumerate(rows, start=1)
    ]


def record(count: int, box: list[float], score: float, category: int, image: int) -> dict:
    x, y, width, height = box[0], box[1], box[2] - box[0], box[3] - box[1]
    return {
        "id": count,
        "image_id": image,
        "category_id": category,
        "bbox": [x, y, width, height],
        "area": width * height,
        "score": score,
        "iscrowd": 0,
    }


def per_class(evaluation: COCOeval_faster, categories: Sequence[Category]) -> dict[str, float | None]:
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # IoU, recall, class; all sizes, most detections
    column = {id: precision[:, :, k] for k, id in enumerate(evaluation.params.catIds)}
    return {c.name: number(mean(column[c.id])) for c in categories}


def mean(values: np.ndarray) -> float:
    """Of what is defined; -1 where nothing is."""
    defined = values[values > -1]
    return defined.mean() if defined.size else -1.0


def number(value: float) -> float | None:
    return None if value < 0 else float(value)
