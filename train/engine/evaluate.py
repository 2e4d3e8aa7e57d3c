"""Average precision of a detector on a dataset, each process measuring a part of it."""

from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor

from core.data.loader import WorkerDied, evaluation
from core.data.sample import Dataset
from core.data.transforms import Augment
from core.detectors.base import Detector
from core.errors import UserError
from core.metrics.coco_ap import average_precision
from core.metrics.detections import Detections, select
from core.types import Images, Predictions, Targets
from train.distributed.parallel import first_word, gathered, gathered_rows, ranks
from train.engine.interrupt import Interrupt
from train.errors import Failed

See = Callable[[int, Predictions, Images, Targets], None]


@torch.no_grad()
def score(
    detector: Detector,
    dataset: Dataset,
    augment: Augment,
    *,
    batch: int,
    workers: int,
    interrupt: Interrupt | None = None,
    see: See | None = None,
) -> dict | None:
    """What core.metrics.coco_ap.average_precision says; None when interrupted; of several processes the first alone knows.

    `see` gets each batch with its predictions, and the place of its first image in the data.
    """
    device, place = next(detector.parameters()).device, ranks()
    detector.eval()
    batches = evaluation(dataset, augment, batch, workers, rank=place.rank, processes=place.size)
    found = []
    for number in count(place.rank, place.size):
        item, wrong, kind = fetch(batches)
        heard = gathered([kind, int(item is not None), (interrupt and interrupt.number) or 0])
        if any(fault for fault, _, _ in heard):
            raise (Failed if any(fault > 1 for fault, _, _ in heard) else UserError)(first_word(wrong))
        if any(signal for _, _, signal in heard):
            return None
        if item is not None:
            images, targets = (x.to(device) for x in item)
            predictions = detector(images)
            found.append(row(select(predictions, images), number))
            if see:
                see(number * batch, predictions, images, targets)
        if not any(more for _, more, _ in heard):
            break
    found = merged(found)
    return average_precision(dataset.truth(), [found], dataset.categories) if place.first else {}


def fetch(batches) -> tuple[tuple[Images, Targets] | None, str, int]:
    """The next batch, if there is one; what went wrong, and whose fault: 0 nobody's, 1 the user's, 2 the machine's."""
    try:
        return next(batches, None), "", 0
    except UserError as error:
        return None, str(error), 1
    except WorkerDied as error:
        return None, str(error), 2


def row(found: Detections, number: int) -> Tensor:
    """Detections of a batch as one table, which says of which batch; float64 holds whole numbers to 2^53."""
    columns = (found.scores, found.labels, found.image_ids, found.queries, torch.full_like(found.queries, number))
    return torch.cat([found.boxes.double(), torch.stack([x.double() for x in columns], 1)], 1).cpu()


def merged(tables: list[Tensor]) -> Detections:
    """Of all processes, in the order of the data."""
    table = gathered_rows(torch.cat([torch.zeros(0, 9, dtype=torch.float64), *tables]))
    table = table[table[:, 8].argsort(stable=True)]
    labels, ids, queries = (table[:, k].long() for k in (5, 6, 7))
    return Detections(table[:, :4].float(), table[:, 4].float(), labels, ids, queries)
