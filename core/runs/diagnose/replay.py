"""What a replay of a few images shows: whether student and teacher agree, and what the teacher calls true objects."""

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


@dataclass(frozen=True)
class TeacherLabels:
    """Of true objects, in the teacher's last layer: as many of its surest queries look on as the image has objects."""

    objects: int
    found: int  # by a box, of whatever class
    right: int  # found, and by the right name
    called: dict[str, dict[str, int]]  # of those found of each class, how many go by which name


@dataclass(frozen=True)
class ReplayStatistics:
    images: int
    naming: TeacherLabels
    agreement: dict[str, list[float | None]]  # class, iou and object, in each layer of the student; None: no pair


@torch.no_grad()
def replay_statistics(
    opened: OpenRun, limit: int, seen: Callable[[Iterable, int], Iterable]
) -> ReplayStatistics | None:
    """Of the first images; None without a teacher."""
    if opened.distiller.teacher is None:
        return None
    count = min(limit, len(opened.data))
    meet, met, names = meeting(opened.distiller), [], Counter()
    for k in seen(range(count), count):
        trace = replay(opened, opened.data[k])
        names.update(called(trace))
        if meet is not None:
            pairs = solve({"logits": meet.problems(trace.student, trace.teacher, trace.targets)})["logits"]
            met.append(agreement(trace.student, trace.teacher, meet.with_layers(pairs["positive"])))
    layers = opened.distiller.student.config.layers
    return ReplayStatistics(count, naming(names, opened.classes), by_layer(met, layers))


def meeting(distiller: Distiller) -> Loss | None:
    """The loss that says who is compared: always its default, so that runs of other losses can be compared."""
    module = losses.module("logits")
    try:
        return module.Model(module.Config(weight=1.0, match="positive"), distiller.student, distiller.teacher)
    except UserError:  # they have other classes
        return None


def by_layer(met: list[Agreement], layers: int) -> dict[str, list[float | None]]:
    if not met:
        return {part: [None] * layers for part in ("class", "iou", "object")}
    whole = Agreement(*(torch.cat([vars(x)[name] for x in met]) for name in vars(met[0])))
    return {part: [None if x != x else x for x in v.tolist()] for part, v in whole.by_layer(layers).items()}


def called(trace: DistillTrace) -> list[tuple[int, int]]:
    """(class, what the teacher calls it, -1 if it finds it not) of each object of a batch of one image."""
    targets, found = trace.targets, trace.teacher.own
    logits, boxes = found.logits[-1, 0], found.boxes[-1, 0]
    sure = logits.amax(-1).topk(min(len(targets), len(logits))).indices
    if not len(sure):
        return []
    overlap = iou(targets.boxes[:, None], boxes[sure][None])
    best = overlap.max(-1)
    name: Tensor = logits[sure][best.indices].argmax(-1).masked_fill(best.values < MIN_IOU, -1)
    return list(zip(targets.labels.tolist(), name.tolist()))


def naming(names: Counter, classes: tuple[str, ...]) -> TeacherLabels:
    said: dict[str, dict[str, int]] = {}
    for (true, name), count in sorted(names.items()):
        if name >= 0:
            said.setdefault(classes[true], {})[classes[name]] = count
    right = sum(by.get(true, 0) for true, by in said.items())
    return TeacherLabels(names.total(), sum(map(lambda by: sum(by.values()), said.values())), right, said)
