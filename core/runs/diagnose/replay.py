"""Replays a few images of a run: whether student and teacher agree, and what the teacher calls the true objects."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from core import losses
from core.boxes import iou
from core.distiller import Distiller
from core.errors import UserError
from core.losses.base import Loss
from core.matching.solving import solve
from core.metrics.agreement import Agreement, agreement
from core.metrics.hits import MIN_IOU
from core.runs.open import OpenRun, replay
from core.types import DistillTrace

Watch = Callable[[Iterable, int], Iterable]  # gets items and their number, and yields the items; it may show progress


@dataclass(frozen=True)
class TeacherLabels:
    """Counts of true objects by the class that the teacher's last layer gives them.

    In an image with n objects only the n most confident queries count.
    """

    objects: int  # true objects
    found: int  # those with a box on them (as in COCO, an IoU of 0.5 or more), of any class
    right: int  # those whose box has the right class
    called: dict[str, dict[str, int]]  # for each class, how many of its found objects have which label


@dataclass(frozen=True)
class ReplayStatistics:
    """Statistics of the replayed images."""

    images: int
    teacher_labels: TeacherLabels
    agreement: dict[
        str, list[float | None]
    ]  # "class", "iou" and "object", for each layer of the student; None: no pair


@torch.no_grad()
def replay_statistics(opened: OpenRun, limit: int, watch: Watch) -> ReplayStatistics | None:
    """Replays the first `limit` validation images; None if the run has no teacher."""
    if opened.distiller.teacher is None:
        return None
    count = min(limit, len(opened.data))
    loss = agreement_loss(opened.distiller)
    agreements: list[Agreement] = []
    labels: Counter[tuple[int, int]] = Counter()
    for k in watch(range(count), count):
        trace = replay(opened, opened.data[k])
        labels.update(teacher_labels(trace))
        if loss is not None:
            assert trace.teacher is not None
            pairs = solve({"logits": loss.problems(trace.student, trace.teacher, trace.targets)})["logits"]
            agreements.append(agreement(trace.student, trace.teacher, loss.with_layers(pairs["positive"])))
    layers = opened.distiller.student.config.layers
    return ReplayStatistics(count, count_labels(labels, opened.classes), agreement_by_layer(agreements, layers))


def agreement_loss(distiller: Distiller) -> Loss | None:
    """The loss that pairs student queries with teacher queries; None if the detectors have different classes.

    It is always the logits loss with its default options, so that runs with other losses can be compared.
    """
    module = losses.module("logits")
    try:
        return module.Model(module.Config(weight=1.0, match="positive"), distiller.student, distiller.teacher)
    except UserError:
        return None


def agreement_by_layer(agreements: list[Agreement], layers: int) -> dict[str, list[float | None]]:
    """Means over all pairs of the images, for each layer of the student; None for a layer without pairs."""
    if not agreements:
        return {part: [None] * layers for part in ("class", "iou", "object")}
    joined = Agreement(*(torch.cat([vars(x)[name] for x in agreements]) for name in vars(agreements[0])))
    return {part: [None if x != x else x for x in v.tolist()] for part, v in joined.by_layer(layers).items()}


def teacher_labels(trace: DistillTrace) -> list[tuple[int, int]]:
    """(class, the teacher's label or -1 if the teacher does not find it) of each object, for a batch of one image."""
    assert trace.teacher is not None
    targets, predictions = trace.targets, trace.teacher.own
    logits, boxes = predictions.logits[-1, 0], predictions.boxes[-1, 0]
    confident = logits.amax(-1).topk(min(len(targets), len(logits))).indices
    if not len(confident):
        return []
    overlap = iou(targets.boxes[:, None], boxes[confident][None])
    best = overlap.max(-1)
    label: Tensor = logits[confident][best.indices].argmax(-1).masked_fill(best.values < MIN_IOU, -1)
    return list(zip(targets.labels.tolist(), label.tolist()))


def count_labels(labels: Counter[tuple[int, int]], classes: tuple[str, ...]) -> TeacherLabels:
    """Counts (class, label) pairs as `teacher_labels` gives them; `classes` are the names."""
    called: dict[str, dict[str, int]] = {}
    for (true, label), count in sorted(labels.items()):
        if label >= 0:
            called.setdefault(classes[true], {})[classes[label]] = count
    right = sum(by.get(true, 0) for true, by in called.items())
    return TeacherLabels(labels.total(), sum(sum(by.values()) for by in called.values()), right, called)
