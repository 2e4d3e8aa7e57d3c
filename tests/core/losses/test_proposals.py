"""Proposals of two-stage detectors: matched and trained with one class, or with the objects' own."""

from dataclasses import replace

import pytest
import torch

from core import losses
from core.losses import detection
from core.matching.solving import match_to_truth
from core.runs.class_mapping import ClassMapped
from core.types import Queries
from tests.helpers import tiny
from tests.helpers.loss_cases import COUNTS, MATCHINGS, close
from tests.oracles import slow_losses


def proposing(matching, *, classes: bool):
    """The detection loss of a detector with proposals, and a stand-in for the detector."""
    about = tiny.detector_stub(matching=matching, proposes=True, proposes_classes=classes)
    return losses.build("detection", detection.Config(), about, None), about


def with_proposals(about, seed: int, counts):
    """A random trace with 15 proposals an image, and its targets."""
    student, _, truth = tiny.traces(seed, counts, student=about)
    draw = torch.Generator().manual_seed(seed + 50)
    proposals = tiny.predictions(draw, len(counts), layers=1, queries=15, classes=about.classes, width=about.width)
    return replace(student, queries={"own": Queries(proposals=proposals)}), truth


@pytest.mark.parametrize("classes", [False, True], ids=["one class", "all classes"])
@pytest.mark.parametrize("kind", MATCHINGS)
def test_proposals_have_the_slow_loss_of_a_matching_with_their_classes(kind, classes):
    model, about = proposing(kind, classes=classes)
    for seed, counts in enumerate(COUNTS * 2):
        student, truth = with_proposals(about, seed, counts)
        found = tiny.outcome(model, student, None, truth)
        wanted = truth if classes else replace(truth, labels=torch.zeros_like(truth.labels))
        p, t = slow_losses.plain(student.queries["own"].proposals), slow_losses.plain(wanted)
        assert tiny.rows(found.pairs["proposal"]) == (pairs := slow_losses.to_truth(p, t, kind))
        terms = {k.removeprefix("proposal_"): v for k, v in tiny.sums(found).items() if k.startswith("proposal_")}
        assert terms == close(slow_losses.detection(p, t, pairs, kind))


@pytest.mark.parametrize("classes", [False, True])
def test_objects_of_the_queries_keep_their_classes(classes):
    """Only the proposals' targets depend on `proposes_classes`."""
    model, about = proposing(MATCHINGS[0], classes=classes)
    student, truth = with_proposals(about, 0, (3, 4))
    plain = losses.build("detection", detection.Config(), tiny.detector_stub(), None)
    expected, found = (tiny.outcome(m, student, None, truth) for m in (plain, model))
    assert truth.labels.any() and all(torch.equal(x, found.maps[key]) for key, x in expected.maps.items())


def test_every_logit_of_proposals_with_classes_is_pulled_to_its_objects_class():
    model, about = proposing(MATCHINGS[0], classes=True)
    student, truth = with_proposals(about, 3, (4, 2))
    proposals = student.queries["own"].proposals
    proposals.logits.requires_grad_()
    tiny.outcome(model, student, None, truth).maps["proposal_class"].sum().backward()
    a = match_to_truth({"it": (proposals, model.matching)}, truth)["it"]
    up = torch.zeros_like(proposals.logits, dtype=torch.bool).index_put(
        (*a.index, truth.labels[a.target]), torch.tensor(True)
    )
    assert torch.equal(proposals.logits.grad < 0, up)


def test_proposals_without_objects_are_background_in_every_class():
    model, about = proposing(MATCHINGS[0], classes=True)
    student, _ = with_proposals(about, 4, (0, 0))
    result = tiny.outcome(model, student, None, tiny.no_targets(2))
    assert not result.maps["proposal_l1"].any() and (result.maps["proposal_class"] > 0).all()


def test_by_default_proposals_have_one_class():
    detector = tiny.detector("deformable", refine=True, two_stage=True)
    assert detector.proposes and not detector.proposes_classes


def test_a_teacher_of_other_classes_tells_what_it_proposes(monkeypatch):
    detector = tiny.detector("deformable", refine=True, two_stage=True)
    mapped = ClassMapped(detector, ((0,), (), (2, 3)))
    assert mapped.proposes and not mapped.proposes_classes
    monkeypatch.setattr(type(detector), "proposes_classes", True)
    assert mapped.proposes_classes
