"""Average precision of a detector on a dataset; every process evaluates a part of the batches."""

from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor, nn

from core.data.loader import Batches, WorkerDied, evaluation
from core.data.sample import Dataset
from core.data.transforms import Augment
from core.detectors.base import Detector
from core.errors import UserError
from core.metrics.coco_ap import average_precision
from core.metrics.detections import Detections, select
from core.types import Images, Predictions, Targets
from train.distributed.parallel import first_text, gather_numbers, gather_rows, ranks
from train.errors import Failed

OnBatch = Callable[[int, Predictions, Images, Targets], None]
NO_FAULT, USER_FAULT, MACHINE_FAULT = 0, 1, 2  # what kept a process from its next batch


@torch.no_grad()
def score(
    detector: nn.Module,
    dataset: Dataset,
    augment: Augment,
    *,
    batch: int,
    workers: int,
    signal: Callable[[], int | None] = lambda: None,
    on_batch: OnBatch | None = None,
) -> dict | None:
    """The average precision of a detector (core.metrics.coco_ap.average_precision); None if a signal came.

    `signal` returns the number of a signal that came, or None.
    Only the first process gets the scores, all others an empty dict. `on_batch` gets the place of a batch's first image in
    the data, then the predictions of all layers, images and targets of the batch. Without it a `Detector` predicts from its
    last layer alone.
    """
    predict = detector.predict if isinstance(detector, Detector) and on_batch is None else detector
    device, place = next(detector.parameters()).device, ranks()
    detector.eval()
    batches = evaluation(dataset, augment, batch, workers, rank=place.rank, processes=place.size)
    tables = []
    for number in count(place.rank, place.size):
        item, message, fault = next_batch(batches)
        reports = gather_numbers([fault, int(item is not None), signal() or 0])
        if any(fault for fault, _, _ in reports):
            kind = Failed if any(fault == MACHINE_FAULT for fault, _, _ in reports) else UserError
            raise kind(first_text(message))
        if any(came for _, _, came in reports):
            return None
        if item is not None:
            images, targets = item[0].to(device), item[1].to(device)
            predictions = predict(images)
            tables.append(detection_rows(select(predictions, images), number))
            if on_batch:
                on_batch(number * batch, predictions, images, targets)
        if not any(has_batch for _, has_batch, _ in reports):
            break
    detections = gather_detections(tables)
    return average_precision(dataset.truth(), [detections], dataset.categories) if place.first else {}


def next_batch(batches: Batches) -> tuple[tuple[Images, Targets] | None, str, int]:
    """The next batch, or None at the end and after a fault; the message of the fault, and its kind."""
    try:
        return next(batches, None), "", NO_FAULT
    except UserError as error:
        return None, str(error), USER_FAULT
    except WorkerDied as error:
        return None, str(error), MACHINE_FAULT


def detection_rows(detections: Detections, batch_number: int) -> Tensor:
    """The detections of a batch as a table (n 9) on the CPU: box, score, label, image id, query, number of the batch.

    float64 holds whole numbers up to 2^53 exactly.
    """
    d = detections
    columns = (d.scores, d.labels, d.image_ids, d.queries, torch.full_like(d.queries, batch_number))
    return torch.cat([d.boxes.double(), torch.stack([x.double() for x in columns], 1)], 1).cpu()


def gather_detections(tables: list[Tensor]) -> Detections:
    """The detections of all processes, in the order of the data."""
    table = gather_rows(torch.cat([torch.zeros(0, 9, dtype=torch.float64), *tables]))
    table = table[table[:, 8].argsort(stable=True)]
    labels, ids, queries = (table[:, k].long() for k in (5, 6, 7))
    return Detections(table[:, :4].float(), table[:, 4].float(), labels, ids, queries)
