"""The kernels of `core.nn.deformable_triton` compute what the float64 oracle and the CPU's way do.

They run on a GPU, or with `--device cpu` in Triton's interpreter, which TRITON_INTERPRET=1 must have asked for.
"""

import math
import os
from dataclasses import replace

import pytest
import torch

from core.nn import sampling
from core.nn.sampling import Sample, table, table_layout
from tests.oracles.sampling import samples

TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5}
# Heads, groups of channels, channels of a group, points of a head in each level.
SIZES = [(2, 2, 3, 2), (4, 2, 5, 1), (4, 4, 32, 2), (6, 2, 16, 1), (1, 1, 1, 3)]
LEVELS = [((3, 4), (2, 2), (1, 3)), ((5, 2),), ((0, 3), (4, 4)), ((2, 0), (1, 1), (0, 0)), ((7, 6), (1, 9))]


@pytest.fixture(scope="module")
def kernels():
    pytest.importorskip("triton", reason="triton is not installed; torch's CUDA builds bring it")
    from core.nn import deformable_triton

    return deformable_triton


@pytest.fixture(autouse=True)
def runnable(device):
    if device.type == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("Triton's kernels run on a CPU under TRITON_INTERPRET=1 alone")


@pytest.fixture
def sample(kernels, monkeypatch):
    """`core.nn.sampling.sample`, which takes the kernels."""
    monkeypatch.setattr(sampling, "uses_kernels", lambda table: True)
    return sampling.sample


def case(seed: int, device, dtype=torch.float64, *, whole: bool = False):
    """Random maps, points in, on and around them, weights, their layout and the number of groups."""
    draw = torch.Generator().manual_seed(seed)
    heads, groups, channels, points = SIZES[seed % len(SIZES)]
    shapes = LEVELS[seed // len(SIZES) % len(LEVELS)]
    k, images, queries = points * len(shapes), 1 + seed % 3, seed % 4 * 2 + 1
    maps = [torch.randn(images, *s, groups * channels, generator=draw, dtype=dtype) for s in shapes]
    at = 1 + 2.5 * torch.randn(images, queries, 2, heads * k, generator=draw, dtype=dtype)
    at = at.round() if whole else torch.where((at - at.round()).abs() < 1e-3, at + 0.01, at)
    weights = torch.randn(images, queries, heads, k, generator=draw, dtype=dtype)
    layout = table_layout(shapes, images=images, heads=heads, groups=groups, points=points, device=device)
    return [x.to(device) for x in maps], at.to(device), weights.to(device), layout, groups


def gradients(function, maps, points, weights):
    """The output and all gradients of a function of maps, points and weights."""
    leaves = [x.clone().requires_grad_() for x in (*maps, points, weights)]
    out = function(leaves[:-2], *leaves[-2:])
    torch.manual_seed(5)
    weighted = (out * torch.randn(out.shape, dtype=torch.float64).to(out)).sum()
    return [out.detach(), *torch.autograd.grad(weighted, leaves)]


def by(function, layout, groups):
    """A function of maps, points and weights, by a function of their table."""
    return lambda maps, points, weights: function(table(maps, groups), points, weights, layout)


def assert_close(made, right, dtype=torch.float64):
    for a, b in zip(made, right, strict=True):
        torch.testing.assert_close(a.to(b), b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("seed", range(25))
def test_sums_and_gradients_are_those_of_the_oracle(sample, seed, device):
    maps, points, weights, layout, groups = case(seed, device)
    made = gradients(by(sample, layout, groups), maps, points, weights)
    assert_close(made, gradients(lambda *x: samples(*x, groups), maps, points, weights))


@pytest.mark.parametrize("seed", range(10))
def test_single_precision_is_close_to_the_oracle(sample, seed, device):
    maps, points, weights, layout, groups = case(seed, device, torch.float32)
    made = gradients(by(sample, layout, groups), maps, points, weights)
    doubled = [[x.double() for x in maps], points.double(), weights.double()]
    right = gradients(lambda *x: samples(*x, groups), *doubled)
    assert all(x.dtype == torch.float32 for x in made)
    assert_close([x.double() for x in made], right, torch.float32)


@pytest.mark.parametrize("seed", range(10))
def test_points_on_places_and_borders_have_the_gradient_of_the_cpu_path(sample, seed, device):
    """At a whole number the slope has a kink, where both take that of the side to the right and below."""
    maps, points, weights, layout, groups = case(seed, device, whole=True)
    points[:, 0, 0, 0] = -1.0
    points[:, -1, :, -1] = layout.upper[:, -1].to(points)  # the border behind the last place
    assert_close(*(gradients(by(f, layout, groups), maps, points, weights) for f in (sample, Sample.apply)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, -1e30])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_point_that_is_no_number_or_far_away_does_what_it_does_on_the_cpu(sample, value, axis, device):
    maps, points, weights, layout, groups = case(1, device)
    points[0, 0, axis, 1] = value
    ours = gradients(by(sample, layout, groups), maps, points, weights)
    assert_close(ours, gradients(by(Sample.apply, layout, groups), maps, points, weights))
    assert all(x.isfinite().all() for x in ours)
    assert ours[-2][0, 0, axis, 1] == 0
    assert_close(ours[:1], [samples(maps, points, weights, groups)])


@pytest.mark.parametrize("what", ["maps", "weights"])
def test_values_that_are_no_numbers_reach_what_they_reach_on_the_cpu(sample, what, device):
    maps, points, weights, layout, groups = case(1, device)
    (maps[0] if what == "maps" else weights)[0, 0, 0, 0] = math.nan
    ours = gradients(by(sample, layout, groups), maps, points, weights)
    right = gradients(by(Sample.apply, layout, groups), maps, points, weights)
    assert any(x.isnan().any() for x in right)
    assert ours[0].isnan().equal(right[0].isnan())
    for a, b in zip(ours, right):
        torch.testing.assert_close(a[~b.isnan()], b[~b.isnan()], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_maps_in_half_precision_are_summed_in_float32(sample, dtype, device):
    maps, points, weights, layout, groups = case(1, device, torch.float32)
    made = gradients(by(sample, layout, groups), [x.to(dtype) for x in maps], points, weights)
    right = gradients(by(sample, layout, groups), [x.to(dtype).float() for x in maps], points, weights)
    assert made[0].dtype == torch.float32 and made[1].dtype == dtype
    assert torch.equal(made[0], right[0]), "the sums lose nothing"
    assert_close(made[-2:], right[-2:], torch.float32)
    torch.testing.assert_close(made[1], right[1].to(dtype))


def test_without_queries_there_are_no_sums(sample, device):
    maps, points, weights, layout, groups = case(0, device)
    out, *made = gradients(by(sample, layout, groups), maps, points[:, :0], weights[:, :0])
    assert out.shape[1] == 0 and all((x == 0).all() for x in made)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # opcheck's own
def test_the_operators_keep_the_contracts_of_torch(kernels, device):
    """Schemas, shapes without values, and autograd: what torch.compile and export build on."""
    maps, points, weights, layout, groups = case(0, device)
    rows = table(maps, groups)
    where = layout.upper, layout.origin_row, layout.rows_to_below, layout.rows_to_right
    inputs = [x.clone().requires_grad_() for x in (rows, points, weights)]
    tests = ("test_schema", "test_faketensor", "test_autograd_registration", "test_aot_dispatch_static")
    torch.library.opcheck(kernels.sample, (*inputs, *where), test_utils=tests)


def test_a_compiled_function_takes_the_kernels(sample, device):
    maps, points, weights, layout, groups = case(1, device)
    compiled = torch.compile(by(sample, layout, groups), backend="aot_eager", fullgraph=True)
    right = gradients(by(Sample.apply, layout, groups), maps, points, weights)
    assert_close(gradients(compiled, maps, points, weights), right)


def test_deterministic_algorithms_take_the_other_way(gpu):
    rows = torch.zeros(4, 2, device=gpu)
    assert sampling.uses_kernels(rows)
    torch.use_deterministic_algorithms(True)
    try:
        assert not sampling.uses_kernels(rows)
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_changed_layout_changes_the_sums(sample, device):
    """The kernels read where rows are from the layout: with another first row there are other sums."""
    maps, points, weights, layout, groups = case(0, device)
    other = replace(layout, origin_row=layout.origin_row + layout.rows_to_right)
    made, moved = (by(sample, x, groups)(maps, points, weights) for x in (layout, other))
    assert not torch.allclose(made, moved)
