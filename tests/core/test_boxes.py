import numpy as np
import pytest
import torch
from torchvision.ops import box_iou, generalized_box_iou

from core.boxes import centers, corners, giou, iou, iou_and_giou
from tests.helpers import tiny
from tests.oracles import slow_losses


def draw(n, seed=0):
    return tiny.boxes((n,), torch.Generator().manual_seed(seed))


def test_corners_by_hand():
    assert corners(torch.tensor([0.5, 0.25, 0.2, 0.1])).tolist() == pytest.approx([0.4, 0.2, 0.6, 0.3])


def test_centers_undo_corners():
    boxes = draw(500)
    torch.testing.assert_close(centers(corners(boxes)), boxes)


def test_overlaps_are_those_of_torchvision_for_every_pair():
    a, b = draw(60, 1), draw(70, 2)
    torch.testing.assert_close(iou(a[:, None], b[None]), box_iou(corners(a), corners(b)))
    torch.testing.assert_close(giou(a[:, None], b[None]), generalized_box_iou(corners(a), corners(b)))


def test_overlaps_are_areas_counted_on_a_grid():
    rng = np.random.default_rng(0)
    ys, xs = np.mgrid[:20, :20] + 0.5
    for _ in range(100):
        a, b = (np.sort(rng.choice(21, (2, 2), replace=False), axis=0) for _ in "ab")  # ((x0, y0), (x1, y1))
        ina, inb = ((xs > p[0, 0]) & (xs < p[1, 0]) & (ys > p[0, 1]) & (ys < p[1, 1]) for p in (a, b))
        union, hull = (ina | inb).sum(), np.prod(np.maximum(a[1], b[1]) - np.minimum(a[0], b[0]))
        boxes = (centers(torch.tensor(p.ravel() / 20, dtype=torch.float32)) for p in (a, b))
        expected = (ina & inb).sum() / union
        got = [float(x) for x in iou_and_giou(*boxes)]
        assert got == pytest.approx([expected, expected - (hull - union) / hull], abs=1e-5)


def test_overlaps_as_relations():
    a, b = draw(1000, 1), draw(1000, 2)
    i, g = iou_and_giou(a, b)
    assert (i >= 0).all() and (i <= 1).all() and (g <= i + 1e-6).all() and (g > -1).all()
    assert (g < 0).any() and (i == 0).any()
    torch.testing.assert_close(iou_and_giou(b, a), (i, g))
    torch.testing.assert_close(iou_and_giou(a, a), (torch.ones(1000), torch.ones(1000)))
    shift = torch.tensor([0.3, -0.2, 0, 0])
    torch.testing.assert_close(iou_and_giou(2 * a + shift, 2 * b + shift), (i, g), rtol=1e-4, atol=1e-5)


def test_the_slow_overlap_of_these_tests_agrees():
    a, b = draw(200, 1), draw(200, 2)
    got = torch.stack(iou_and_giou(a, b), -1)
    torch.testing.assert_close(
        got, torch.tensor([slow_losses.overlap(x, y) for x, y in zip(a, b)]), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("other", [[0.5, 0.5, 0, 0], [0.5, 0.5, 0.2, 0], [0.1, 0.9, 0.3, 0.2]])
def test_empty_boxes_have_no_overlap_and_finite_gradients(other):
    empty = torch.tensor([[0.5, 0.5, 0.0, 0.0]], requires_grad=True)
    i, g = iou_and_giou(empty, torch.tensor([other]))
    (i + g).sum().backward()
    assert i.item() == 0 and -1 <= g.item() <= 0 and empty.grad.isfinite().all()


def test_the_gradient_of_giou_pulls_boxes_together_even_when_they_are_apart():
    far = torch.tensor([0.2, 0.5, 0.1, 0.1], requires_grad=True)
    giou(far, torch.tensor([0.8, 0.5, 0.1, 0.1])).backward()
    assert far.grad[0] > 0


def test_half_precision_is_left_at_the_door():
    a, b = draw(50, 1).bfloat16(), draw(50, 2).bfloat16()
    i, g = iou_and_giou(a, b)
    assert i.dtype == g.dtype == torch.float32
    assert torch.equal(i, iou(a.float(), b.float())) and torch.equal(g, giou(a.float(), b.float()))
