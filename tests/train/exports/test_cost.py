"""What a student costs: as much as the network that was never distilled."""

import pytest

from core import detectors
from tests.helpers import tiny
from train.exports._cost import cost, text


@pytest.mark.parametrize("name", detectors.names())
def test_a_student_costs_what_it_would_undistilled(name):
    images, _ = tiny.batch()
    found = cost(tiny.detector(name), images, distilled=True)
    mine, plain = (dict(found[k]) for k in ("student", "undistilled"))
    assert mine.pop("seconds") > 0 < plain.pop("seconds")
    assert mine == plain and mine["flops"] > mine["parameters"] > 0
    assert text(found, images).splitlines()[2].split() == "for an image of 64 x 64 on this CPU".split()


def test_a_student_without_a_teacher_is_compared_with_nothing():
    found = cost(tiny.detector("adamixer"), tiny.batch()[0], distilled=False)
    assert list(found) == ["student"] and "undistilled" not in text(found, tiny.batch()[0])


def test_flops_are_two_for_each_multiplication():
    """A convolution of the first map, by hand, bounds the whole from below; twice the image has about twice the FLOPs."""
    model = tiny.detector("adamixer")
    one, two = (cost(model, tiny.batch(((64, w),), (1,))[0], distilled=False)["student"]["flops"] for w in (64, 128))
    assert one > 2 * 3 * 9 * 8 * 32 * 32 and one < two < 2 * one
