"""A few numbers of an image in a run, by which images are sorted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from core.data.batch import images
from core.data.sample import Sample
from core.metrics.detections import select
from core.metrics.gained_lost import MIN_SCORE, Changes, finding_scores
from core.metrics.hits import Objects
from core.metrics.instability import assigned_objects, between_layers
from core.types import DistillTrace, Predictions, Trace


@dataclass(frozen=True)
class Facts:
    loss: float  # total of the step
    worst: float  # cost of the dearest match of the last layer; 0 without objects
    flips: int  # objects whose query is another than in the layer before, over all layers
    unstable: tuple[float, ...]  # queries whose object is another than in the layer before, by step
    calm: tuple[float, ...]  # the same of the teacher; empty without one
    found: tuple[float, ...]  # score of the detection that found each object, 0 where none did


def facts(trace: DistillTrace, sample: Sample, price: torch.Tensor) -> Facts:
    """`price` is the weighted cost of every query of the student for every object, "l b q t"."""
    a = trace.student.assignment
    last = a.at(a.layer == len(price) - 1)
    dear = price[last.index + (last.target,)]
    return Facts(
        trace.total.item(),
        dear.max().item() if len(dear) else 0.0,
        flips(trace),
        unstable(trace.student),
        () if trace.teacher is None else unstable(trace.teacher),
        found(trace.student.own, sample),
    )


def unstable(side: Trace) -> tuple[float, ...]:
    return tuple(between_layers(assigned_objects(side).numpy()).tolist())


def holders(side: Trace, objects: int) -> list[list[int]]:
    """The query that answers for each object in each layer, [object][layer]; -1 where none is left for it."""
    a, layers = side.assignment, len(side.own.logits)
    table = np.full((objects, layers), -1)
    table[a.target.numpy(), a.layer.numpy()] = a.query.numpy()
    return table.tolist()


def flips(trace: DistillTrace) -> int:
    table = np.array(holders(trace.student, len(trace.targets))).reshape(len(trace.targets), -1)
    return int((table[:, 1:] != table[:, :-1]).sum())


def found(p: Predictions, sample: Sample) -> tuple[float, ...]:
    """By the boxes of the last layer: the score of the detection that found each object, 0 where none did."""
    there = select(p, images([replace(sample, original=sample.size)]))
    return tuple(finding_scores(there, objects(sample)).tolist())


def objects(sample: Sample) -> Objects:
    x0, y0, x1, y1 = sample.boxes.double().numpy().reshape(-1, 4).T
    boxes, count = np.stack([x0, y0, x1 - x0, y1 - y0], 1), len(sample.labels)
    none = np.zeros(count, dtype=bool)
    return Objects(
        np.arange(count), np.full(count, sample.id), sample.labels.numpy(), boxes, boxes[:, 2] * boxes[:, 3], none
    )


def change(before: Sequence[float], after: Sequence[float]) -> list[str]:
    """Of each object, from the scores that found it: kept, gained, lost, or missed by both."""
    return Changes(np.arange(len(after)), np.array(before), np.array(after), MIN_SCORE).kind.tolist()
