import pytest
import torch

from core.losses._layer_mapping import LayerPairs, layer_pairs
from core.types import Assignment


@pytest.mark.parametrize(
    "student, teacher, groups",
    [
        (3, 6, [[0, 1], [2, 3], [4, 5]]),
        (2, 6, [[0, 1, 2], [3, 4, 5]]),
        (6, 6, [[0], [1], [2], [3], [4], [5]]),
        (6, 3, [[0], [0], [1], [1], [2], [2]]),
        (1, 6, [[0, 1, 2, 3, 4, 5]]),
        (4, 6, [[0], [1, 2], [3], [4, 5]]),
    ],
)
def test_layers_are_grouped_evenly(student, teacher, groups):
    """Fig. 5 of the paper."""
    assert layer_pairs(student, teacher) == [(s, t) for s, group in enumerate(groups) for t in group]


def test_every_student_layer_has_teacher_layers_in_order_and_none_of_a_deeper_teacher_is_left_out():
    for student in range(1, 9):
        for teacher in range(1, 9):
            pairs = layer_pairs(student, teacher)
            assert sorted(pairs) == pairs and {s for s, _ in pairs} == set(range(student))
            assert pairs[-1] == (student - 1, teacher - 1)
            if teacher >= student:
                assert [t for _, t in pairs] == list(range(teacher))
            sizes = [sum(s == layer for s, _ in pairs) for layer in range(student)]
            assert max(sizes) - min(sizes) <= 1


def test_the_last_layer_alone_or_as_the_teacher_of_all():
    assert layer_pairs(3, 6, "last") == [(2, 5)] and layer_pairs(3, 2, "last") == [(2, 1)]
    assert layer_pairs(3, 6, "from_last") == [(0, 5), (1, 5), (2, 5)]


def test_a_share_is_the_inverse_of_a_groups_size():
    pairs = LayerPairs(layer_pairs(4, 6))
    assert pairs.share.tolist() == [1, 0.5, 0.5, 1, 0.5, 0.5] and len(pairs) == 6
    assert not pairs.state_dict(), "nothing of it is saved: the card says it"


def test_an_assignment_of_pairs_of_layers_is_converted_to_the_layers_of_both():
    a = LayerPairs(layer_pairs(2, 4)).with_layers(
        Assignment(*torch.tensor([[0, 1, 3], [0, 0, 1], [5, 6, 7], [1, 2, 3]]))
    )
    assert a.layer.tolist() == [0, 0, 1] and a.target_layer.tolist() == [0, 1, 3]
    assert a.query.tolist() == [5, 6, 7] and a.target.tolist() == [1, 2, 3] and a.image.tolist() == [0, 0, 1]
