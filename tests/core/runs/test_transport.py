"""Boxes carried to a view are those that augmentation gives to the same boxes as objects."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.boxes import centers
from core.data.batch import collate
from core.data.sample import Sample
from core.data.transforms import Augment, train_transform
from core.matching.solving import match_to_truth
from core.pseudo import PseudoRule, pseudo_objects
from core.runs.transport import carried_boxes, visible
from core.types import Images
from tests.helpers import tiny


def source(seed: int, count: int = 12) -> Sample:
    """An image with boxes inside it, among them small ones in the corners, which a crop removes."""
    draw = torch.Generator().manual_seed(seed)
    size, corner = torch.rand(count, 2, generator=draw) * 0.3 + 0.02, torch.rand(count, 2, generator=draw) * 0.65
    boxes = torch.cat([corner, corner + size], -1) * torch.tensor([90, 70, 90, 70])
    return Sample(torch.zeros(3, 70, 90, dtype=torch.uint8), boxes, torch.arange(count), 3, (70, 90))


def view_of(sample: Sample, seed: int, augment: Augment) -> tuple[Images, Sample]:
    viewed = train_transform(sample, np.random.default_rng(seed), augment)
    return collate([viewed])[0], viewed


CROPPED = Augment(flip=0.5, jitter=0.3, sizes=(48, 64, 100), crop=True)


@pytest.mark.parametrize("seed", range(40))
def test_crops_mirrors_and_sizes_move_boxes_as_objects(seed):
    """The labels say which box is which; those that the crop removes are empty and stay in place."""
    sample = source(seed)
    images, viewed = view_of(sample, seed, CROPPED)
    stored = centers(sample.boxes / torch.tensor([90, 70, 90, 70]))[None, None]
    found = carried_boxes(stored, images.views)
    height, width = viewed.size
    expected = centers(viewed.boxes / torch.tensor([width, height, width, height]))
    assert torch.allclose(found[0, 0, viewed.labels], expected, atol=1e-5)
    seen = visible(found, images.views)
    if seen is None:
        assert len(viewed.labels) == 12
    else:
        assert seen[0].nonzero().flatten().tolist() == viewed.labels.tolist()


def test_crops_are_among_them():
    removed = [12 - len(view_of(source(seed), seed, CROPPED)[1].labels) for seed in range(40)]
    views = [view_of(source(seed), seed, CROPPED)[0].views for seed in range(40)]
    assert max(removed) >= 3 and any(v is not None and v[0, 0] < 0 for v in views)


def test_the_whole_image_changes_no_bit():
    boxes = torch.randn(3, 2, 7, 4)
    assert carried_boxes(boxes, None) is boxes and visible(boxes, None) is None
    same = torch.tensor([[1.0, 1.0, 0.0, 0.0]] * 2)
    assert torch.equal(
        carried_boxes(boxes, same), torch.cat([boxes[..., :2], boxes[..., 2:].abs() * boxes[..., 2:].sign()], -1)
    )
    assert visible(boxes, same).all()


def test_a_mirrored_box_reaches_as_far_beyond_the_image():
    box = torch.tensor([[[[0.0, 0.4, 0.5, 0.2]]]])
    assert torch.allclose(
        carried_boxes(box, torch.tensor([[-1.0, 1.0, 1.0, 0.0]])), torch.tensor([[[[1.0, 0.4, 0.5, 0.2]]]])
    )


def test_images_of_a_batch_have_views_of_their_own():
    boxes = torch.tensor([[0.25, 0.5, 0.1, 0.1]]).repeat(1, 3, 1, 1)
    views = torch.tensor([[1.0, 1, 0, 0], [-1, 1, 1, 0], [2, 1, -1, 0]])
    found = carried_boxes(boxes, views)[0, :, 0]
    assert torch.allclose(found[:2], torch.tensor([[0.25, 0.5, 0.1, 0.1], [0.75, 0.5, 0.1, 0.1]]))
    assert found[2, 2] == 0 and visible(carried_boxes(boxes, views), views).tolist() == [[True], [True], [False]]


def test_what_is_removed_is_neither_matched_nor_an_object():
    draw = torch.Generator().manual_seed(0)
    p, truth = tiny.predictions(draw, images=2, queries=6), tiny.targets((3, 4), 4, draw)
    valid = torch.tensor([[True] * 6, [True, False, True, False, False, True]])
    m = tiny.detector_stub().matching
    found = match_to_truth({"t": (p, m)}, truth, {"t": valid})["t"]
    whole = match_to_truth({"t": (p, m)}, truth)["t"]
    first, second = (found.image == 0), (found.image == 1)
    assert tiny.rows(found.at(first)) == tiny.rows(whole.at(whole.image == 0))
    assert len(found.at(second)) == 2 * 3, "three queries are left for four objects, in each of two layers"
    assert set(found.query[second].tolist()) <= {0, 2, 5}
    gone = replace(p, boxes=torch.where(valid[None, ..., None], p.boxes, torch.tensor([0.0, 0.5, 0.0, 0.1])))
    objects = pseudo_objects(gone, PseudoRule((0.0,) * 4))
    assert set(objects.query[objects.image == 1].tolist()) <= {0, 2, 5}


@pytest.mark.parametrize("match", ["split", "positive", "all"])
def test_logits_leave_out_what_is_removed(match):
    """The student learns as from a teacher that has only the other queries."""
    student, teacher, truth = tiny.traces(0, counts=(2,))
    valid = torch.tensor([[True, True, False, True, True, False, True, True, False]])
    loss = tiny.losses.build("logits", tiny.losses.module("logits").Config(match=match, normalise="sum"), *stubs(9))
    few = tiny.losses.build("logits", tiny.losses.module("logits").Config(match=match, normalise="sum"), *stubs(6))
    m = tiny.detector_stub().matching
    own = teacher.own
    assignment = match_to_truth({"t": (own, m)}, truth, {"t": valid})["t"]
    masked = replace(teacher, assignment=assignment, valid=valid)
    left = replace(own, **{name: x[:, :, valid[0]] for name, x in vars(own).items()})
    reduced = replace(teacher, predictions={"own": left}, assignment=match_to_truth({"t": (left, m)}, truth)["t"])
    expected = tiny.sums(tiny.outcome(few, student, reduced, truth))
    assert tiny.sums(tiny.outcome(loss, student, masked, truth)) == pytest.approx(expected, rel=1e-5)
    assert tiny.sums(tiny.outcome(loss, student, teacher, truth)) != pytest.approx(expected, rel=1e-3)


def stubs(queries: int):
    return tiny.detector_stub(), tiny.detector_stub(width=8, queries=queries)
