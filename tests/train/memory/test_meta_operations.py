"""Operations on meta tensors that were called before return what they returned then, in new memory."""

import pytest
import torch

from train.memory import meta_operations
from train.memory.meta_operations import run_remembered

aten = torch.ops.aten


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(meta_operations, "KNOWN", {})


def on_meta(*shape, dtype=torch.float32):
    return torch.empty(*shape, dtype=dtype, device="meta")


def layout(x):
    return x.shape, x.stride(), x.dtype, x.device


def run(func, *args, **kwargs):
    """The outputs of two equal calls, which have the layouts of a plain call and memory of their own."""
    plain = func(*args, **kwargs)
    first, again = (run_remembered(func, args, kwargs) for _ in range(2))
    for outputs in (first, again):
        pairs = zip(outputs, plain, strict=True) if isinstance(plain, list | tuple) else [(outputs, plain)]
        assert type(outputs) is type(plain)
        assert all((a is None and b is None) or layout(a) == layout(b) for a, b in pairs)
    return first, again


@pytest.mark.parametrize(
    "func, args, kwargs",
    [
        (aten.add.Tensor, (on_meta(2, 1, 3), on_meta(4, 1)), {}),
        (aten.add.Tensor, (on_meta(2, 3, dtype=torch.int64), 1.5), {}),
        (aten.mul.Tensor, (on_meta(2, 3, 4).permute(2, 0, 1), on_meta(2, 3, 4).permute(2, 0, 1)), {}),
        (aten.cat.default, ([on_meta(2, 3), on_meta(5, 3)],), {}),
        (aten.sum.dim_IntList, (on_meta(2, 3, 4), [1]), {"dtype": torch.float64}),
        (aten.native_layer_norm.default, (on_meta(2, 3, 4), [4], on_meta(4), on_meta(4), 1e-5), {}),
        (
            aten.convolution_backward.default,
            (
                on_meta(1, 2, 4, 4),
                on_meta(1, 3, 4, 4),
                on_meta(2, 3, 1, 1),
                None,
                [1, 1],
                [0, 0],
                [1, 1],
                False,
                [0, 0],
                1,
                [True, False, False],
            ),
            {},
        ),
    ],
)
def test_an_equal_call_returns_equal_layouts(func, args, kwargs):
    run(func, *args, **kwargs)
    assert len(meta_operations.KNOWN) == 1


def test_each_call_has_memory_of_its_own():
    first, again = run(aten.add.Tensor, on_meta(2, 3), 1)
    assert first.untyped_storage()._cdata != again.untyped_storage()._cdata


@pytest.mark.parametrize(
    "others", [(on_meta(3, 2), 1), (on_meta(2, 3).t(), 1), (on_meta(2, 3, dtype=torch.float64), 1), (on_meta(2, 3), 2)]
)
def test_other_shapes_strides_types_or_numbers_are_other_calls(others):
    run(aten.add.Tensor, on_meta(2, 3), 1)
    run(aten.add.Tensor, *others)
    assert len(meta_operations.KNOWN) == 2


def test_an_integer_a_float_and_a_bool_are_different_arguments():
    whole = on_meta(2, 3, dtype=torch.int64)
    types = [run(aten.add.Tensor, whole, number)[1].dtype for number in (1, 1.0, True)]
    assert types == [torch.int64, torch.float32, torch.int64] and len(meta_operations.KNOWN) == 3


def test_views_and_changes_in_place_are_not_remembered():
    x = on_meta(2, 6)
    for func, args in (
        (aten.view.default, (x, [3, 4])),
        (aten._unsafe_view.default, (x, [3, 4])),
        (aten.add_.Tensor, (x, 1)),
    ):
        for _ in range(2):
            assert run_remembered(func, args, {}).untyped_storage()._cdata == x.untyped_storage()._cdata
    assert not meta_operations.KNOWN


def test_tensors_of_the_cpu_are_computed():
    x = torch.arange(3)
    for number in (1, 2, 1):
        assert torch.equal(run_remembered(aten.add.Tensor, (x, number), {}), x + number)
    assert not meta_operations.KNOWN
