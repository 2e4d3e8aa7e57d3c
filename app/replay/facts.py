"""Numbers of one image in one run: the gallery sorts images by them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from core.data.batch import collate_images
from core.data.sample import Sample
from core.metrics.detections import Detections, select
from core.metrics.gained_lost import MIN_SCORE, Changes, finding_scores
from core.metrics.hits import Objects
from core.metrics.instability import assigned_objects, between_layers
from core.types import DistillTrace, Predictions, Trace


@dataclass(frozen=True)
class Facts:
    """The facts by which images are sorted and summarised. Instability is IS for each step from layer to layer."""

    loss: float  # total of the training step
    highest_cost: float  # of a matched student query in the last layer; 0 without objects
    flips: int  # changes of an object's student query from one layer to the next, over all objects
    student_instability: tuple[float, ...]
    teacher_instability: tuple[float, ...]  # empty without a teacher
    object_scores: tuple[float, ...]  # score of the student's detection that found each object, 0 where none did
    disagreement: int  # detections that only one of teacher and student has; 0 without a teacher


def image_facts(trace: DistillTrace, sample: Sample, cost: Float[Tensor, "l b q t"]) -> Facts:
    """The facts of an image; `cost` is the weighted cost of every student query for every object."""
    pairs = trace.student.assignment
    last = pairs.at(pairs.layer == len(cost) - 1)
    matched_costs = cost[last.index + (last.target,)]
    return Facts(
        loss=trace.total.item(),
        highest_cost=matched_costs.max().item() if len(matched_costs) else 0.0,
        flips=flips(trace.student, len(trace.targets)),
        student_instability=layer_instability(trace.student),
        teacher_instability=() if trace.teacher is None else layer_instability(trace.teacher),
        object_scores=object_scores(trace.student.own, sample),
        disagreement=0 if trace.teacher is None else disagreement(trace.teacher.own, trace.student.own, sample),
    )


def layer_instability(trace: Trace) -> tuple[float, ...]:
    """IS of each decoder layer after the first, against the layer before."""
    return tuple(between_layers(assigned_objects(trace).numpy()).tolist())


def matched_queries(trace: Trace, objects: int) -> Int[ndarray, "t l"]:
    """The query matched with each object in each layer; -1 where there are fewer queries than objects."""
    pairs, layers = trace.assignment, len(trace.own.logits)
    table = np.full((objects, layers), -1)
    table[pairs.target.numpy(), pairs.layer.numpy()] = pairs.query.numpy()
    return table


def flips(trace: Trace, objects: int) -> int:
    """How often an object's query differs from that of the layer before, over all objects and layers."""
    table = matched_queries(trace, objects)
    return int((table[:, 1:] != table[:, :-1]).sum())


def object_scores(p: Predictions, sample: Sample) -> tuple[float, ...]:
    """The score of the last layer's detection that found each object, 0 where none did."""
    detections = select(p, collate_images([replace(sample, original=sample.size)]))
    return tuple(finding_scores(detections, coco_objects(sample)).tolist())


def disagreement(teacher: Predictions, student: Predictions, sample: Sample) -> int:
    """The number of detections of at least MIN_SCORE of one detector that the other one does not find.

    One finds a detection as it finds an object: by one of its class with IoU of at least 0.5 and a score of at least MIN_SCORE.
    """
    images = collate_images([replace(sample, original=sample.size)])
    first, second = (confident(select(p, images)) for p in (teacher, student))
    best_scores = finding_scores(second, as_objects(first)), finding_scores(first, as_objects(second))
    return int(sum((scores < MIN_SCORE).sum() for scores in best_scores))


def confident(detections: Detections) -> Detections:
    """The detections of at least MIN_SCORE."""
    return detections.at(detections.scores >= MIN_SCORE)


def as_objects(detections: Detections) -> Objects:
    """Detections as if they were annotations."""
    return annotated_objects(detections.boxes, detections.labels, detections.image_ids)


def coco_objects(sample: Sample) -> Objects:
    """The objects of a sample as annotations in COCO's form, none of them a crowd region."""
    return annotated_objects(sample.boxes, sample.labels, torch.full_like(sample.labels, sample.id))


def annotated_objects(boxes: Float[Tensor, "n 4"], labels: Int[Tensor, " n"], image_ids: Int[Tensor, " n"]) -> Objects:
    """Objects in COCO's form from boxes (x0, y0, x1, y1) in pixels; none is a crowd region."""
    x0, y0, x1, y1 = boxes.double().numpy().reshape(-1, 4).T
    sides, count = np.stack([x0, y0, x1 - x0, y1 - y0], 1), len(labels)
    areas, crowd = sides[:, 2] * sides[:, 3], np.zeros(count, dtype=bool)
    return Objects(np.arange(count), image_ids.numpy(), labels.numpy(), sides, areas, crowd)


def changes(before: Sequence[float], after: Sequence[float]) -> list[str]:
    """Returns whether each object is kept, gained, lost or missed, from the scores of the detections that found it."""
    return Changes(np.arange(len(after)), np.array(before), np.array(after), MIN_SCORE).kind.tolist()
