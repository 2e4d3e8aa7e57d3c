"""Losses and their gradients stay finite where detections degenerate, whatever is drawn."""

from dataclasses import replace

import pytest
import torch

from core import losses
from core.boxes import EMPTY
from core.matching.solving import match_to_truth
from core.types import Predictions, Targets, Trace
from tests.helpers import tiny

DRAWS = 3


def emptied(boxes: torch.Tensor) -> torch.Tensor:
    """Points, but for the first box of an image, which has a width and no height."""
    flat = boxes * torch.tensor([1.0, 1.0, 0.0, 0.0])
    flat[..., :1, 2] = 0.3
    return flat


def each(predictions: Predictions, **change) -> Predictions:
    return replace(predictions, **{name: f(getattr(predictions, name)) for name, f in change.items()})


def plain(student, teacher, truth):
    return student, teacher, truth


def background(student, teacher, truth):
    return student, each(teacher, logits=lambda x: x - 60), truth


def certain(student, teacher, truth):
    return *(each(p, logits=lambda x: 1e4 * x.sign()) for p in (student, teacher)), truth


def points(student, teacher, truth):
    return *(each(p, boxes=emptied) for p in (student, teacher)), replace(truth, boxes=emptied(truth.boxes))


def alike(student, teacher, truth):
    """All queries the same, as those of a decoder at its start may be."""
    return *(each(p, boxes=lambda x: x[:, :, :1].expand_as(x).clone()) for p in (student, teacher)), truth


def coarse(student, teacher, truth):
    return *(each(p, **dict.fromkeys(vars(p), torch.Tensor.bfloat16)) for p in (student, teacher)), truth


CHANGES = [plain, background, certain, points, alike, coarse]


def scene(seed: int, counts: tuple[int, ...], queries: int, change) -> tuple[Trace, Trace, Targets]:
    """Traces whose predictions were changed, then matched again; the student's are leaves."""
    about = tiny.detector_stub(width=8, queries=queries)
    student, teacher, truth = tiny.traces(seed, counts, student=about, teacher=about)
    mine, theirs, truth = change(student.own, teacher.own, truth)
    group, _, _ = change(student.predictions["prior"], teacher.own, truth)
    general, asked, _ = change(student.predictions["general"], teacher.predictions["general"], truth)
    leaves = [each(p, **dict.fromkeys(vars(p), torch.Tensor.requires_grad_)) for p in (mine, group, general)]
    mine, group, general = leaves
    found = match_to_truth({"s": (mine, about.matching), "t": (theirs, about.matching)}, truth)
    groups = {"own": mine, "prior": group, "fixed": group, "specific": group, "general": general}
    student = replace(student, predictions=groups, assignment=found["s"])
    return student, replace(teacher, predictions={"own": theirs, "general": asked}, assignment=found["t"]), truth


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("counts, queries", [((3, 1), 7), ((0, 0), 7), ((4, 0), 1), ((9, 2), 7)])
@pytest.mark.parametrize("name", losses.names())
def test_losses_and_gradients_are_finite(name, counts, queries, change):
    about = tiny.detector_stub(width=8, queries=queries)
    model = losses.build(name, losses.module(name).Config(), about, about)
    for seed in range(DRAWS):
        student, teacher, truth = scene(seed, counts, queries, change)
        maps = tiny.outcome(model, student, teacher, truth).maps
        assert all(x.isfinite().all() for x in maps.values())
        total = sum(x.sum() for x in maps.values())
        leaves = [x for p in student.predictions.values() for x in vars(p).values()] + list(model.parameters())
        grads = [g for g in torch.autograd.grad(total, leaves, allow_unused=True) if g is not None]
        assert grads and all(g.isfinite().all() for g in grads)


def test_the_points_are_what_boxes_count_as_empty():
    student, teacher, truth = scene(0, (3, 1), 7, points)
    for boxes in (student.own.boxes, teacher.own.boxes, truth.boxes):
        assert (boxes[..., 2] * boxes[..., 3]).max() < EMPTY and boxes[..., 2].max() > 0
