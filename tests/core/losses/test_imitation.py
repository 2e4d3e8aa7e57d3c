import pytest
import torch
import torch.nn.functional as F

from core.losses._imitation import Imitation, pair_levels, resample
from tests.helpers import tiny


@pytest.mark.parametrize(
    "student, teacher, pairs",
    [
        ((4, 8, 16), (4, 8, 16), [(0, 0), (1, 1), (2, 2)]),
        ((32,), (4, 8, 16, 32), [(0, 3)]),
        ((4, 8, 16, 32), (16,), [(2, 0)]),
        ((8, 16, 32, 64), (4, 8, 16, 32), [(0, 1), (1, 2), (2, 3), (3, 0)]),
        ((16,), (4, 8), [(0, 1)]),
        ((4, 8), (16, 32), [(0, 1), (1, 0)]),
    ],
)
def test_levels_are_paired_by_nearest_stride(student, teacher, pairs):
    assert pair_levels(student, teacher) == pairs


def test_notes_name_what_is_resampled_or_left_out():
    student, teacher = tiny.detector_stub(strides=(8, 32)), tiny.detector_stub(strides=(4, 8, 16))
    assert Imitation(student, teacher, source="neck").notes == (
        "student features of stride 32 are resampled to the teacher's stride 16",
        "teacher features of stride 4 are not used",
    )
    assert Imitation(teacher, teacher, source="neck").notes == ()


def ramp(stride: int, height: int, width: int) -> torch.Tensor:
    """A map that holds the middle of each place, (x, y) in pixels."""
    y, x = torch.meshgrid(*((torch.arange(n) + 0.5) * stride for n in (height, width)), indexing="ij")
    return torch.stack([x, y])[None].float()


@pytest.mark.parametrize("stride, to", [(8, 16), (16, 8), (4, 32), (8, 8)])
def test_a_map_is_read_at_the_same_pixels(stride, to):
    """A linear map is reproduced exactly at places that lie between its own."""
    got = resample(ramp(stride, 64 // stride, 96 // stride), stride, to, (64 // to, 96 // to))
    want = ramp(to, 64 // to, 96 // to)
    inside = (want >= stride / 2).all(1) & (want[:, 0] <= 96 - stride / 2) & (want[:, 1] <= 64 - stride / 2)
    assert got.shape == want.shape and inside.sum() > inside.numel() / 4
    torch.testing.assert_close(got.movedim(1, -1)[inside], want.movedim(1, -1)[inside])


def test_maps_of_one_stride_are_cut_or_filled_to_one_shape():
    x = torch.randn(2, 3, 4, 5)
    assert resample(x, 8, 8, (4, 5)) is x
    assert torch.equal(resample(x, 8, 8, (3, 4)), x[..., :3, :4])
    assert torch.equal(resample(x, 8, 8, (6, 4)), F.pad(x, (0, 0, 0, 2))[..., :4])


def test_the_squared_error_is_the_mean_over_channels_and_0_in_padding():
    student, teacher = tiny.detector_stub(width=8), tiny.detector_stub(width=8)
    mine, theirs, _ = tiny.traces(0, student=student, teacher=teacher)
    for level, m, t, pad in zip(
        Imitation(student, teacher, source="neck")(mine.memory, theirs.memory),
        mine.memory.neck,
        theirs.memory.neck,
        theirs.memory.padding,
    ):
        torch.testing.assert_close(level.squared_error, ((t - m) ** 2).mean(1) * ~pad)
        assert level.valid_places.flatten().tolist() == (~pad).sum((1, 2)).tolist()


def test_phi_starts_as_the_identity_where_widths_agree_and_maps_channels_where_they_do_not():
    x = torch.randn(2, 6, 4, 5)
    same, wider = (
        Imitation(tiny.detector_stub(), tiny.detector_stub(width=w), source="neck").adapters[0] for w in (6, 9)
    )
    torch.testing.assert_close(same(x), x)
    assert wider(x).shape == (2, 9, 4, 5) and all(p.requires_grad for p in wider.parameters())
