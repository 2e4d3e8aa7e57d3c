"""Masks and quality of queries, and agreement of student and teacher: against hand-worked cases and brute force."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from core.losses import features, logits
from core.metrics import query_quality
from core.metrics.agreement import agreement
from core.metrics.instability import assigned_objects
from core.metrics.query_masks import (
    inside_each_object,
    inside_objects,
    mask_statistics,
    mass_inside,
    query_masks,
    rank_correlation,
    spatial_entropy,
)
from core.types import Assignment, Memory, Predictions, Targets, Trace
from tests.helpers import tiny


def memory(*shapes, strides, size=(32, 32), padding=None) -> Memory:
    neck = tuple(torch.ones(1, 2, *shape) for shape in shapes)
    pads = padding or tuple(torch.zeros(1, *shape, dtype=torch.bool) for shape in shapes)
    return Memory(neck, pads, strides, torch.tensor([size]))


def truth(*boxes) -> Targets:
    n = len(boxes)
    return Targets(torch.tensor(boxes).reshape(-1, 4), torch.zeros(n).long(), torch.zeros(n).long(), (n,))


def test_a_place_is_inside_where_its_centre_is():
    """4 x 4 places of 8 pixels: centres at 4, 12, 20, 28 of 32."""
    inside = inside_objects(memory((4, 4), strides=(8,)), truth([0.25, 0.375, 0.5, 0.25]), 0)  # x 0 .. 16, y 8 .. 16
    want = torch.zeros(4, 4, dtype=torch.bool)
    want[1, :2] = True
    assert (inside[0] == want).all()


def test_places_are_counted_in_the_image_without_its_padding():
    """An image of 16 x 32 pixels in a memory of 32 x 32: half of its height is 8 pixels."""
    inside = inside_objects(memory((4, 4), strides=(8,), size=(16, 32)), truth([0.5, 0.25, 1.0, 0.5]), 0)
    assert inside[0].sum(1).tolist() == [4, 0, 0, 0]


def test_each_object_has_its_own_places_and_padding_none():
    targets = Targets(torch.tensor([[0.25, 0.5, 0.5, 1.0]]), torch.zeros(1).long(), torch.ones(1).long(), (0, 1))
    two = Memory(
        (torch.ones(2, 2, 2, 2),), (torch.zeros(2, 2, 2, dtype=torch.bool),), (16,), torch.tensor([[32, 32]] * 2)
    )
    inside = inside_each_object(two, targets, 0)
    assert inside.shape[:2] == (2, 1)
    assert not inside[0].any() and inside[1, 0].tolist() == [[True, False], [True, False]]
    assert not inside_objects(two, Targets(torch.zeros(0, 4), *[torch.zeros(0).long()] * 2, (0, 0)), 0).any()


def test_mass_and_entropy_by_hand():
    psi = torch.tensor([[[[3.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    inside = torch.tensor([[[True, False], [True, False]]])
    share = mass_inside(psi, inside)[0]
    assert share[:2].tolist() == [0.75, 0.5] and share[2].isnan()
    h = spatial_entropy(psi, torch.ones_like(inside))[0]
    assert h[0].item() == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(4))
    assert h[1].item() == pytest.approx(1) and h[2].isnan()


def test_a_mask_of_one_place_has_no_entropy_and_padding_no_part():
    psi = torch.zeros(1, 1, 3, 3)
    psi[..., 1, 1] = 2
    assert spatial_entropy(psi, torch.ones(1, 3, 3, dtype=torch.bool)).item() == 0
    even = torch.zeros(1, 1, 3, 3)
    valid = torch.zeros(1, 3, 3, dtype=torch.bool)
    valid[:, :2, :2] = True
    even[..., :2, :2] = 1
    assert spatial_entropy(even, valid).item() == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_mask_statistics_are_means_over_levels_in_plain_loops(seed):
    trace, _, targets = tiny.traces(seed)
    found = mask_statistics(trace, targets)
    for image in range(2):
        for query in range(trace.own.logits.shape[2]):
            shares = []
            for level, stride in enumerate(trace.memory.strides):
                inside = whole = 0.0
                f, pad = trace.memory.neck[level][image], trace.memory.padding[level][image]
                for y in range(f.shape[1]):
                    for x in range(f.shape[2]):
                        if pad[y, x]:
                            continue
                        mass = max(
                            0.0, torch.cosine_similarity(f[:, y, x], trace.own.hidden[-1, image, query], 0).item()
                        )
                        whole += mass
                        inside += mass * hit(targets, image, (x + 0.5) * stride / 40, (y + 0.5) * stride / 32)
                shares.append(inside / whole if whole else math.nan)
            assert found.inside[image, query].item() == pytest.approx(np.nanmean(shares), abs=1e-5, nan_ok=True)


def hit(targets: Targets, image: int, x: float, y: float) -> bool:
    boxes = targets.boxes[targets.image == image].tolist()
    return any(abs(x - cx) < w / 2 and abs(y - cy) < h / 2 for cx, cy, w, h in boxes)


def test_a_mask_that_is_the_same_everywhere_has_the_area_inside():
    trace, _, targets = tiny.traces(0)
    flat = replace(trace.memory, neck=tuple(torch.ones_like(x) for x in trace.memory.neck))
    hidden = replace(trace.own, hidden=torch.ones_like(trace.own.hidden))
    found = mask_statistics(replace(trace, memory=flat, predictions={"own": hidden}), targets)
    assert torch.allclose(found.inside, found.area[:, None].expand_as(found.inside))
    assert found.entropy.allclose(torch.ones_like(found.entropy))


def test_masks_are_the_losses_own():
    trace, _, _ = tiny.traces(1)
    for psi, level in zip(query_masks(trace, source="neck", mask="inner", layer=0), trace.memory.neck):
        assert psi.min() == 0
        want = features.similarity_masks(level, trace.own.hidden[0], "inner")
        assert psi[psi > 0].allclose(want[psi > 0])


@pytest.mark.parametrize("seed", range(4))
def test_rank_correlation_is_scipys(seed):
    draw = np.random.default_rng(seed)
    a, b = draw.random((3, 20)).round(1), draw.random((3, 20))
    b[1] = -(a[1] ** 3)
    found = rank_correlation(a, b)
    assert found == pytest.approx([spearmanr(x, y).statistic for x, y in zip(a, b)])
    assert found[1] == pytest.approx(-1)


def test_rank_correlation_of_what_has_none():
    a = np.array([[1.0, 1.0, 1.0], [1.0, np.nan, 2.0]])
    assert np.isnan(rank_correlation(a, np.array([[1.0, 2.0, 3.0]] * 2))).all()


def test_quality_correlates_with_mass_inside_if_good_queries_attend_to_objects():
    """Features differ on and off objects. The half of the queries that attend to objects have good boxes and more mass inside."""
    targets = truth([0.5, 0.5, 0.5, 0.5])
    m = memory((8, 8), strides=(4,))
    inside = inside_objects(m, targets, 0)
    feature = torch.stack([inside.float(), 1 - inside.float()], 1)
    good = torch.tensor([0, 1] * 3)
    hidden = torch.stack([good, 1 - good], -1).float()[None, None]
    boxes = torch.where(good[:, None] == 1, torch.tensor([0.5, 0.5, 0.5, 0.5]), torch.tensor([0.1, 0.1, 0.1, 0.1]))
    p = Predictions(torch.zeros(1, 1, 6, 4), boxes[None, None], hidden)
    nobody = Assignment(*[torch.zeros(0).long()] * 4)
    t = Trace(replace(m, neck=(feature,)), {}, {"own": p}, nobody)
    q = query_quality.quality_parts(t, targets).ranking()[-1]
    assert rank_correlation(q.numpy(), mask_statistics(t, targets).inside.numpy()) == pytest.approx([1])


@pytest.mark.parametrize("seed", range(3))
def test_quality_in_both_forms(seed):
    """`assigned` is the loss's own; q* takes each query's best class and object, so it is never lower."""
    trace, _, targets = tiny.traces(seed)
    q = query_quality.quality_parts(trace, targets)
    for gamma in (0.0, 0.3, 0.5, 1.0):
        for layer in range(2):
            want = features.assigned_quality(trace, targets, gamma, layer)
            assert q.assigned(gamma)[layer].allclose(want * (want > 0))
        assert (q.ranking(gamma) >= q.assigned(gamma) - 1e-6).all()
    assert q.score.allclose(trace.own.logits.sigmoid().max(-1).values)


def test_quality_by_hand():
    score, overlap = torch.full((1, 1, 1), 0.81), torch.full((1, 1, 1), 0.64)
    q = query_quality.QualityParts(score, overlap, score, overlap)
    assert q.ranking(0.5).item() == q.assigned(0.5).item() == pytest.approx(0.72)
    assert q.ranking(1.0).item() == pytest.approx(0.81) and q.ranking(0.0).item() == pytest.approx(0.64)


def test_agreement_by_hand():
    student, teacher, targets = tiny.traces(0, counts=(2,))
    none = torch.zeros(1, 1, 3, 6)
    s = Predictions(torch.eye(4)[None, None, [0, 1, 2]], torch.full((1, 1, 3, 4), 0.5), none)
    boxes = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.25], [0.1, 0.1, 0.1, 0.1]])[None, None]
    t = Predictions(torch.eye(4)[None, None, [0, 3, 2]], boxes, none)
    index = lambda *rows: Assignment(*(torch.tensor(x) for x in zip(*rows)))  # noqa: E731
    student = replace(student, predictions={"own": s}, assignment=index((0, 0, 0, 1), (0, 0, 1, 0)))
    teacher = replace(teacher, predictions={"own": t}, assignment=index((0, 0, 0, 1), (0, 0, 2, 0)))
    pairs = replace(index((0, 0, 0, 0), (0, 0, 1, 1), (0, 0, 2, 2)), target_layer=torch.zeros(3).long())
    found = agreement(student, teacher, pairs)
    assert found.same_class.tolist() == [True, False, True]
    assert found.overlap.tolist() == pytest.approx([1, 0.5, 0])
    assert found.same_object.tolist() == [True, False, False]  # the last: the student's query is unmatched
    means = found.by_layer(2)
    assert means["class"][0] == pytest.approx(2 / 3) and means["object"][0] == pytest.approx(1 / 3)
    assert means["iou"][0] == pytest.approx(0.5) and means["iou"][1].isnan()


def test_a_detector_agrees_with_itself():
    trace, _, targets = tiny.traces(2)
    about = tiny.detector_stub()
    loss = logits.Model(logits.Config(weight=1.0), about, about)
    found = agreement(trace, trace, tiny.outcome(loss, trace, trace, targets).pairs["positive"])
    assert found.same_class.all() and found.same_object.all() and found.overlap.allclose(torch.ones(len(found.layer)))
    assert (assigned_objects(trace) >= 0).sum() == len(trace.assignment)
