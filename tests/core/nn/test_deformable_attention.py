import pytest
import torch
from einops import rearrange

from core.nn.deformable import DeformableAttention, offset_frame
from core.nn.sampling import Sample, table, table_layout
from core.nn.weighted_sums import autograd_gradients, table_gradient, weight_gradient, weighted_sums

SHAPES = ((3, 4), (2, 2), (1, 3))


def case(seed: int, dtype=torch.float64, spread: float = 3.0):
    """Values, points in and around three small levels, weights: two images, five queries, two heads, two points."""
    g = torch.Generator().manual_seed(seed)
    n, k = sum(h * w for h, w in SHAPES), len(SHAPES) * 2
    values = torch.randn(2, n, 2 * 3, generator=g, dtype=dtype)
    points = 1 + spread * torch.randn(2, 5, 2, 2 * k, generator=g, dtype=dtype)
    return values, points, torch.rand(2, 5, 2, k, generator=g, dtype=dtype)


def sample(values, points, weights, groups: int = 2):
    """From values b n (g c)."""
    heads, k = weights.shape[2:]
    where = table_layout(
        SHAPES, images=len(values), heads=heads, groups=groups, points=k // len(SHAPES), device=values.device
    )
    maps = [x.unflatten(1, s) for x, s in zip(values.split([h * w for h, w in SHAPES], 1), SHAPES)]
    return Sample.apply(table(maps, groups), points, weights, where).flatten(2)


def by_hand(values, points, weights):
    """One place at a time: the share of a place is what is left of 1 after its distance, across times down."""
    out = torch.zeros(2, 5, 2, 3, dtype=values.dtype)
    maps = [x.unflatten(1, s) for x, s in zip(values.split([h * w for h, w in SHAPES], 1), SHAPES)]
    points = rearrange(points, "b q two (h l p) -> b q h l p two", h=2, l=3)
    for b, q, h, l, p in torch.cartesian_prod(*map(torch.arange, points.shape[:-1])).tolist():
        x, y = points[b, q, h, l, p].tolist()
        for i in range(SHAPES[l][0]):
            for j in range(SHAPES[l][1]):
                share = max(0.0, 1 - abs(x - j)) * max(0.0, 1 - abs(y - i))
                out[b, q, h] += weights[b, q, h, 2 * l + p] * share * maps[l][b, i, j, 3 * h : 3 * h + 3]
    return out.flatten(2)


@pytest.mark.parametrize("seed", range(10))
def test_samples_are_bilinear_and_zero_outside(seed):
    values, points, weights = case(seed)
    points[0, 0, 0, 0], points[0, 1, 1, 3] = 1e9, -1e9
    points[1] = points[1].round()  # in the middle of places, on the border, or outside
    assert torch.allclose(sample(values, points, weights), by_hand(values, points, weights))


@pytest.mark.parametrize("seed", range(5))
def test_heads_share_groups_of_channels(seed):
    """The first two of four heads sample the first of two groups, the others the second."""
    values = case(seed)[0]
    points = torch.cat([case(seed)[1], case(seed + 10)[1]], -1).unflatten(3, (4, -1))
    weights = torch.cat([case(seed)[2], case(seed + 10)[2]], 2)
    found = sample(values, points.flatten(3), weights).unflatten(2, (4, -1))
    for pair in ([0, 2], [1, 3]):
        alone = by_hand(values, points[:, :, :, pair].flatten(3), weights[:, :, pair])
        assert torch.allclose(found[:, :, pair].flatten(2), alone)


@pytest.mark.parametrize("seed", range(3))
def test_gradients_of_samples(seed):
    inputs = [x.requires_grad_() for x in case(seed, spread=1.5)]
    torch.autograd.gradcheck(sample, inputs, eps=1e-7, atol=1e-5)


def test_a_point_that_is_no_number_spoils_no_other():
    values, points, weights = (x.requires_grad_() for x in case(0))
    clean = sample(values, points, weights)
    broken = points.detach().clone()
    broken[0, 2, 0, 5] = float("nan")
    out = sample(values, broken, weights)
    others = torch.ones_like(out, dtype=torch.bool)
    others[0, 2] = False
    assert torch.equal(out[others], clean[others])


def test_half_precision_values_are_summed_in_float32():
    values, points, weights = case(0, torch.float32)
    out = sample(values.bfloat16(), points, weights)
    assert out.dtype == torch.float32
    assert torch.equal(out, sample(values.bfloat16().float(), points, weights))


@pytest.mark.parametrize("seed", range(5))
def test_the_ways_of_cpu_and_gpu_agree(seed):
    g = torch.Generator().manual_seed(seed)
    table, gradient = torch.randn(30, 4, generator=g), torch.randn(9, 4, generator=g)
    index, weight = torch.randint(0, 30, (9, 8), generator=g, dtype=torch.int32), torch.randn(9, 8, generator=g)
    rows = table[index.long()]
    assert torch.allclose(weighted_sums(table, index, weight), (rows * weight[..., None]).sum(1), atol=1e-5)
    to_table, to_weight = autograd_gradients(table, index, weight, gradient)
    assert torch.allclose(table_gradient(table, index, weight, gradient), to_table, atol=1e-5)
    assert torch.allclose(weight_gradient(table, index, gradient), to_weight, atol=1e-5)


def one_level(height: int, width: int, *, heads: int, points: int):
    return table_layout(
        ((height, width),), images=1, heads=heads, groups=heads, points=points, device=torch.device("cpu")
    )


def test_offsets_count_in_places_or_in_parts_of_the_box():
    """A head of one point: with a point for reference an offset of 1 is a place; with a box, half its width."""
    module = DeformableAttention(32, heads=1, levels=1, points=1)
    module.to_offset.bias.data = torch.tensor([1.0, -1.0])
    query, where = torch.zeros(1, 1, 32), one_level(10, 20, heads=1, points=1)
    point = torch.tensor([[[[0.5, 0.5]]]])
    found = module.sample_points(query, offset_frame(point, where, heads=1, points=1)).flatten()
    assert torch.allclose(found, torch.tensor([0.5 * 20 - 0.5 + 1, 0.5 * 10 - 0.5 - 1]))
    box = torch.tensor([[[[0.5, 0.5, 0.4, 0.2]]]])
    found = module.sample_points(query, offset_frame(box, where, heads=1, points=1)).flatten()
    assert torch.allclose(found, torch.tensor([0.7 * 20 - 0.5, 0.4 * 10 - 0.5]))


def test_padding_is_not_read():
    torch.manual_seed(0)
    module = DeformableAttention(32, heads=2, levels=1, points=4)
    tokens, padding = torch.randn(1, 12, 32), torch.zeros(1, 12, dtype=torch.bool)
    padding[0, 9:] = True
    start = offset_frame(torch.rand(1, 5, 1, 2), one_level(3, 4, heads=2, points=4), heads=2, points=4)
    query, other = torch.randn(1, 5, 32), tokens.clone()
    other[0, 9:] = float("nan")
    assert torch.equal(*(module(query, start, x, padding, ((3, 4),)) for x in (tokens, other)))
