"""Average precision of a detector on a dataset."""

import torch

from core.data.loader import evaluation
from core.data.sample import Dataset
from core.data.transforms import Augment
from core.detections import select
from core.detectors.base import Detector
from core.evaluate import average_precision
from train.interrupt import Interrupt


@torch.no_grad()
def score(
    detector: Detector,
    dataset: Dataset,
    augment: Augment,
    *,
    batch: int,
    workers: int,
    interrupt: Interrupt | None = None,
) -> dict | None:
    """What core.evaluate.average_precision says, or None when interrupted."""
    device = next(detector.parameters()).device
    detector.eval()
    found = []
    for images, _ in evaluation(dataset, augment, batch, workers):
        if interrupt and interrupt.number:
            return None
        images = images.to(device)
        found.append(select(detector(images), images))
    return average_precision(dataset.truth(), found, dataset.categories)


def table(scores: dict) -> str:
    """AP x 100, then AP of each class."""
    head = [("AP", "ap"), ("AP50", "ap50"), ("AP75", "ap75"), ("APs", "aps"), ("APm", "apm"), ("APl", "apl")]
    rows = [f"{title:>8} {percent(scores[key])}" for title, key in head]
    return "\n".join(rows + [f"{percent(ap)}  {name}" for name, ap in scores["per_class"].items()])


def percent(value: float | None) -> str:
    return "   - " if value is None else f"{100 * value:5.1f}"
