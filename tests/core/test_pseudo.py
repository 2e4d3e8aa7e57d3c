"""Pseudo truth: which predictions become objects, and that a step with it is the step with the same objects as labels."""

from dataclasses import replace

import pytest
import torch

from core import detectors, losses
from core.boxes import clipped, corners, iou
from core.distiller import run_teacher
from core.pseudo import PseudoRule, pseudo_objects, with_pseudo_truth
from core.types import SILENT, Predictions, Withheld
from tests.helpers import tiny

CLASSES = 4
WITHOUT_OBJECTS = ("fitnet", "mgd", "fkd", "contrast", "fixed", "kd_detr")  # losses to which objects make no difference


def predictions(scores, boxes=None, labels=None) -> Predictions:
    """Of one image and two layers, of which only the last counts."""
    scores = torch.tensor(scores)
    labels = torch.arange(len(scores)) % CLASSES if labels is None else torch.tensor(labels)
    if boxes is None:
        boxes = torch.tensor([[0.1 + 0.2 * k, 0.5, 0.1, 0.1] for k in range(len(scores))])
    logits = torch.full((2, 1, len(scores), CLASSES), SILENT)
    logits[0] = 9.0  # a layer that would say anything
    logits[1, 0, torch.arange(len(scores)), labels] = scores.logit()
    return Predictions(logits, torch.as_tensor(boxes).expand(2, 1, -1, 4), torch.zeros(2, 1, len(scores), 6))


def pending(counts=(2, 0, 1), unlabelled=(False, True, False)):
    truth = tiny.targets(counts, CLASSES, torch.Generator().manual_seed(3))
    return replace(truth, unlabelled=unlabelled, pending=True)


def test_a_score_at_the_threshold_is_an_object():
    own = predictions([0.2, 0.8, 0.5, 0.6])
    at = float(own.logits[-1, 0, 2, 2].sigmoid())
    for least, expected in ((at, [1, 3, 2]), (at + 1e-6, [1, 3]), (0.0, [1, 3, 2, 0]), (1.0, [])):
        found = pseudo_objects(own, PseudoRule((least,) * CLASSES))
        assert found.query.tolist() == expected and found.counts == (len(expected),)
        assert found.labels.tolist() == [k % CLASSES for k in expected]
        assert torch.equal(found.boxes, own.boxes[-1, 0, expected])
        assert torch.allclose(found.scores, own.logits[-1, 0].sigmoid().amax(-1)[expected])


def test_each_class_has_a_least_score_of_its_own():
    own = predictions([0.3, 0.3, 0.7, 0.7])
    assert pseudo_objects(own, PseudoRule((0.2, 0.4, 0.6, 0.8))).query.tolist() == [2, 0]


def test_a_class_that_the_teacher_does_not_know_is_never_found():
    own = predictions([0.9, 0.9])
    silent = replace(own, logits=own.logits.clone().index_fill(-1, torch.tensor([1]), SILENT))
    assert pseudo_objects(silent, PseudoRule((1e-6,) * CLASSES)).labels.tolist() == [0]


def test_what_lies_outside_the_image_is_no_object():
    boxes = torch.tensor([[-0.2, 0.5, 0.1, 0.1], [0.0, 0.5, 0.2, 0.1], [1.06, 0.5, 0.1, 0.2], [0.5, 0.5, 0.1, 0.0]])
    found = pseudo_objects(predictions([0.9, 0.9, 0.8, 0.9], boxes), PseudoRule((0.5,) * CLASSES))
    assert found.query.tolist() == [1]
    truth = with_pseudo_truth(pending((0,), (True,)), predictions([0.9] * 4, boxes), PseudoRule((0.5,) * CLASSES))
    assert torch.allclose(corners(truth.boxes), torch.tensor([[0.0, 0.45, 0.1, 0.55]]))


@pytest.mark.parametrize("seed", range(5))
def test_repeats_are_taken_out(seed):
    """By brute force: what overlaps a better object of its class, whatever is left of that one."""
    draw = torch.Generator().manual_seed(seed)
    p = tiny.predictions(draw, images=2, queries=30, classes=2)
    p = replace(p, boxes=p.boxes * torch.tensor([0.3, 0.3, 1, 1]) + torch.tensor([0.3, 0.3, 0, 0]))
    least, limit = (0.4, 0.5), 0.5
    for b in range(2):
        scores, labels = p.logits[-1, b].sigmoid().max(-1)
        kept = [q for q in range(30) if scores[q] >= least[labels[q]]]
        box = clipped(p.boxes[-1, b])
        expected = {
            q
            for q in kept
            if not any(scores[o] > scores[q] and labels[o] == labels[q] and iou(box[o], box[q]) > limit for o in kept)
        }
        one = Predictions(*(x[:, b : b + 1] for x in vars(p).values()))
        assert set(pseudo_objects(one, PseudoRule(least, overlap=limit)).query.tolist()) == expected
        assert set(pseudo_objects(one, PseudoRule(least)).query.tolist()) == set(kept)
        assert len(expected) < len(kept)


def test_of_two_equal_ones_the_first_stays():
    own = predictions([0.8, 0.8], torch.tensor([[0.5, 0.5, 0.2, 0.2]] * 2), labels=[1, 1])
    assert pseudo_objects(own, PseudoRule((0.1,) * CLASSES, overlap=0.9)).query.tolist() == [0]


def test_labelled_images_keep_their_objects():
    draw = torch.Generator().manual_seed(0)
    own, truth = tiny.predictions(draw, images=3), pending()
    rule = PseudoRule((0.6,) * CLASSES)
    found, alone = with_pseudo_truth(truth, own, rule), pseudo_objects(own, rule, torch.tensor([False, True, False]))
    assert found.counts == (2, len(alone.labels), 1) and len(alone.labels) > 1 and alone.image.unique().tolist() == [1]
    assert found.image.tolist() == [0] * 2 + [1] * len(alone.labels) + [2]
    for k, rows in ((0, slice(0, 2)), (2, slice(2, 3))):
        assert torch.equal(found.boxes[found.image == k], truth.boxes[rows])
        assert torch.equal(found.labels[found.image == k], truth.labels[rows])
    assert torch.equal(found.labels[found.image == 1], alone.labels)
    assert not found.pending and found.weights is None and found.unlabelled == truth.unlabelled
    assert with_pseudo_truth(found, own, rule) is found


def test_a_soft_object_counts_as_much_as_its_score():
    own, truth = tiny.predictions(torch.Generator().manual_seed(0), images=3), pending()
    found = with_pseudo_truth(truth, own, PseudoRule((0.6,) * CLASSES, soft=True))
    scores = pseudo_objects(own, PseudoRule((0.6,) * CLASSES), torch.tensor([False, True, False])).scores
    assert found.weights.tolist() == [1, 1, *scores.tolist(), 1]


def sure_score(teacher, images, count: int) -> float:
    """The score that so many queries of the second image with a box in the image reach."""
    own = run_teacher(teacher, images).predictions["own"]
    inside = (clipped(own.boxes[-1, 1])[:, 2:] > 0).all(-1)
    return float(own.logits[-1, 1].sigmoid().amax(-1)[inside].topk(count).values[-1])


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("name", losses.names())
def test_a_step_with_pseudo_truth_is_the_step_with_these_objects(name, soft):
    """For every loss: the maps equal those of a batch that has the teacher's objects as labels."""
    images, truth = tiny.batch(((64, 64), (48, 64)), (3, 0))
    step = tiny.distiller(*tiny.pair("adamixer"), [name])
    step.pseudo = PseudoRule((sure_score(step.teacher, images, 3),) * CLASSES, soft=soft)
    waiting = replace(truth, unlabelled=(False, True), pending=True)
    found = step(images, waiting)
    objects = with_pseudo_truth(waiting, found.teacher.own, step.pseudo)
    assert objects.counts == (3, 3) and found.targets.counts == objects.counts
    labels = replace(objects, unlabelled=())
    expected = step(images, labels)
    assert torch.equal(found.total, expected.total) and found.total.isfinite()
    assert found.total.item() != step(images, truth).total.item() or name in WITHOUT_OBJECTS


@pytest.mark.parametrize("name", losses.names())
def test_an_image_without_pseudo_objects_is_legal(name):
    images, truth = tiny.batch(counts=(0, 0))
    step = tiny.distiller(*tiny.pair("adamixer"), [name]).train()
    step.pseudo = PseudoRule((1.0,) * CLASSES)
    found = step(images, replace(truth, unlabelled=(True, True), pending=True))
    assert found.targets.counts == (0, 0) and found.total.isfinite()


@pytest.mark.parametrize("kind", detectors.names())
def test_withheld_objects_are_never_learnt(kind):
    images, truth = tiny.batch()
    step = tiny.distiller(*tiny.pair(kind))
    step.pseudo = PseudoRule((sure_score(step.teacher, images, 3),) * CLASSES)
    waiting = replace(tiny.batch(counts=(0, 0))[1], unlabelled=(True, True), pending=True)
    known = replace(waiting, withheld=Withheld(truth.boxes, truth.labels, truth.image, (True, True)))
    assert torch.equal(step(images, waiting).total, step(images, known).total)


@pytest.mark.parametrize("kind", detectors.names())
def test_weights_scale_the_terms_of_matched_queries_alone(kind):
    images, truth = tiny.batch()
    step = tiny.distiller(tiny.detector(kind))
    plain = step(images, truth)
    weights = torch.tensor([0.25, 1.0, 0.5, 0.0])
    found = step(images, replace(truth, weights=weights))
    a = plain.student.assignment
    factor = torch.ones(plain.student.own.logits.shape[:3])
    for layer, image, query, target in zip(*(x.tolist() for x in (a.layer, a.image, a.query, a.target))):
        factor[layer, image, query] = weights[target]
    assert (factor < 1).sum() == 3 * len(plain.student.own.logits)
    for name in ("class", "l1", "giou"):
        expected = plain.outcomes["detection"].maps[name] * factor
        assert torch.allclose(found.outcomes["detection"].maps[name], expected), name


def test_what_is_known_of_the_teacher_is_not_computed_again(batch, monkeypatch):
    images, truth = batch
    step = tiny.distiller(*tiny.pair("adamixer"))
    decoded = run_teacher(step.teacher, images)
    expected = step(images, truth)
    monkeypatch.setattr(step.teacher, "encode", None)
    assert torch.equal(step(images, truth, decoded_teacher=decoded).total, expected.total)
