from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from core.types import Assignment, Memory, Predictions, Queries, Targets
from tests.helpers import tiny


def memory(tokens: bool) -> Memory:
    neck = torch.randn(2, 6, 4, 5), torch.randn(2, 6, 2, 3)
    padding = torch.zeros(2, 4, 5, dtype=torch.bool), torch.zeros(2, 2, 3, dtype=torch.bool)
    return Memory(neck, padding, (8, 16), torch.tensor([[32, 40], [30, 40]]), torch.randn(2, 26, 6) if tokens else None)


def test_shapes_in_signatures_are_checked():
    with pytest.raises(Exception, match="boxes"):
        Targets(torch.zeros(3, 5), torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.long), (3,))
    with pytest.raises(Exception, match="hidden"):
        Predictions(torch.zeros(2, 1, 7, 4), torch.zeros(2, 1, 7, 4), torch.zeros(2, 1, 8, 4))


def test_nouns_do_not_change():
    with pytest.raises(FrozenInstanceError):
        tiny.no_targets(1).counts = (2,)


def test_maps_after_the_encoder_are_its_tokens_place_by_place():
    m = memory(tokens=True)
    first, second = m.maps("encoder")
    assert m.shapes == ((4, 5), (2, 3)) and [x.shape for x in (first, second)] == [x.shape for x in m.neck]
    for y, x in ((0, 0), (0, 4), (1, 0), (3, 2)):
        assert torch.equal(first[:, :, y, x], m.tokens[:, 5 * y + x])
    assert torch.equal(second[:, :, 1, 2], m.tokens[:, 20 + 5])


def test_maps_before_the_encoder_are_the_necks():
    assert memory(tokens=True).maps("neck")[0].shape == (2, 6, 4, 5)
    bare = memory(tokens=False)
    assert bare.maps("encoder") is bare.neck and bare.maps("neck") is bare.neck
    with pytest.raises(ValueError, match="no features 'backbone'; there are encoder, neck"):
        bare.maps("backbone")


def test_detached_queries_keep_their_numbers_and_their_gaps():
    content = torch.randn(1, 3, 4, requires_grad=True)
    free = Queries(content=content * 2).detach()
    assert torch.equal(free.content, content * 2) and not free.content.requires_grad
    assert free.position is None and free.anchors is None


def test_an_assignment_is_an_index():
    a = Assignment(*torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1], [2, 0, 1, 2], [0, 3, 0, 3], [0, 0, 1, 1]]))
    values = torch.arange(24).view(2, 2, 6)
    assert values[a.index].tolist() == [2, 6, 13, 20] and values[a.other].tolist() == [0, 9, 12, 21]
    assert len(a) == 4 and a.of_layer(1, layers=2).query.tolist() == [1, 2]
    assert a.of(layer=0, image=1).target.tolist() == [3] and a.of(layer=1, image=0).target_layer.tolist() == [1]
    assert replace(a, target_layer=None).of(layer=0, image=1).target_layer is None


def test_images_and_targets_move_whole():
    images, truth = tiny.batch()
    assert truth.within(torch.tensor([3, 1, 4]), 2).to("meta").step.device.type == "meta"
    there = images.to("meta"), truth.to("meta")
    assert there[1].counts == truth.counts == (3, 1) and len(truth) == 4
    for before, after in zip((images, truth), there):
        for name, x in vars(before).items():
            moved = vars(after)[name]
            assert (
                moved == x
                if not isinstance(x, torch.Tensor)
                else (moved.shape, moved.dtype, moved.device.type) == (x.shape, x.dtype, "meta")
            )
