"""Sampling locations against the gradient at every place of the memory, and against the output of the sampler."""

import pytest
import torch
from einops import rearrange

from core import detectors
from core.detectors.base import Detector
from core.metrics.sampling_locations import SamplingLocations, mass_in_boxes, sampling_locations
from core.runs.class_mapping import ClassMapped
from core.runs.last_layer import LastLayer
from tests.helpers import tiny

NAMES = [name for name in detectors.names() if tiny.detector(name).samplers]
STRIDE = 16


def decoded(name: str, **more):
    model = tiny.detector(name, strides=(STRIDE,), layers=2, **more)
    memory = model.encode(tiny.batch()[0])
    return model, memory, model.propose(memory)


def sampler_output(model: Detector, memory, queries, layer: int) -> torch.Tensor:
    """The output of the sampler of a layer."""
    outputs = []
    hook = model.samplers[layer].register_forward_hook(lambda module, _, out: outputs.append(out))
    model.decode(memory, queries)
    hook.remove()
    return outputs[0]


@pytest.mark.parametrize("name", NAMES)
def test_each_layer_has_locations_whose_weights_sum_to_one(name):
    model, memory, queries = decoded(name)
    found = sampling_locations(model, memory, queries)
    assert len(found) == model.config.layers
    for locations in found:
        assert locations.places.shape[:3] == locations.weights.shape and locations.weights.shape[:2] == (2, 10)
        torch.testing.assert_close(locations.weights.sum(-1), torch.ones(2, 10))


@pytest.mark.parametrize("name", NAMES)
def test_no_hook_is_left_afterwards(name):
    model, memory, queries = decoded(name)
    before = model.decode(memory, queries)
    sampling_locations(model, memory, queries)
    assert not any(sampler._forward_hooks for sampler in model.samplers)
    assert torch.equal(model.decode(memory, queries).boxes, before.boxes)


@pytest.mark.parametrize("name", ["adamixer", "deformable"])
@pytest.mark.parametrize("seed", range(8))
def test_a_query_depends_on_the_corners_of_its_points_and_on_nothing_else(name, seed):
    """Checked by the gradient of the sampler's output for one query at every place of the only map."""
    torch.manual_seed(seed)
    model, memory, queries = decoded(name, seed=seed)
    source = memory.tokens if name == "deformable" else memory.neck[0]
    source.requires_grad_()
    image, query = seed % 2, seed
    (slope,) = torch.autograd.grad(sampler_output(model, memory, queries, 0)[image, query].square().sum(), source)
    h, w = memory.shapes[0]
    slope = slope.abs().sum(-1) if name == "deformable" else rearrange(slope.abs().sum(1), "b h w -> b (h w)")
    locations = sampling_locations(model, memory, queries)[0]
    at = locations.places[image, query] * memory.sizes[image].flip(-1) / STRIDE - 0.5
    corners = {(int(x) + i, int(y) + j) for x, y in at.floor().tolist() for i in (0, 1) for j in (0, 1)}
    padding = memory.padding[0].flatten(1) & (name == "deformable")  # whose values it reads as zeros
    wanted = {y * w + x for x, y in corners if 0 <= x < w and 0 <= y < h} - set(
        padding[image].nonzero().flatten().tolist()
    )
    assert set(slope[image].nonzero().flatten().tolist()) == wanted and not slope[1 - image].any()


@pytest.mark.parametrize("seed", range(4))
def test_attention_is_what_weighs_the_values(seed):
    model, memory, queries = decoded("conditional", seed=seed, heads=1)
    sampler, locations = model.samplers[1], sampling_locations(model, memory, queries)[1]
    values = sampler.to_v(memory.tokens)
    torch.testing.assert_close(
        sampler.to_out(locations.weights @ values), sampler_output(model, memory, queries, 1), atol=1e-5, rtol=1e-4
    )
    assert (locations.weights.masked_select(memory.padding[0].flatten(1)[:, None]) == 0).all()
    middle = locations.places[1, 0] * memory.sizes[1].flip(-1)
    w = memory.shapes[0][1]
    assert middle[w + 2].tolist() == [2.5 * STRIDE, 1.5 * STRIDE]


@pytest.mark.parametrize("seed", range(4))
def test_weights_of_deformable_points_make_its_samples(seed):
    """Sampled with grid_sample, head by head and level by level, as the original does."""
    model = tiny.detector("deformable", strides=(8, 16), layers=1, seed=seed)
    memory = model.encode(tiny.batch(sizes=((64, 64), (64, 64)))[0])
    queries, heads, points = model.propose(memory), model.config.heads, model.config.points
    (sampler,), (locations,) = model.samplers, sampling_locations(model, memory, queries)
    places = rearrange(locations.places, "b q (h l p) two -> l (b h) q p two", h=heads, p=points)
    weights = rearrange(locations.weights, "b q (h l p) -> l (b h) 1 q p", h=heads, p=points) * heads
    values = sampler.to_value(memory.tokens).split([h * w for h, w in memory.shapes], dim=1)
    out = 0
    for value, (h, _), at, weight in zip(values, memory.shapes, places, weights):
        maps = rearrange(value, "b (h w) (n c) -> (b n) c h w", h=h, n=heads)
        read = torch.nn.functional.grid_sample(maps, 2 * at - 1, align_corners=False)
        out = out + (read * weight).sum(-1)
    out = sampler.to_out(rearrange(out, "(b n) c q -> b q (n c)", n=heads))
    torch.testing.assert_close(out, sampler_output(model, memory, queries, 0), atol=1e-5, rtol=1e-4)


def test_the_share_inside_a_querys_own_box():
    """Worked by hand: of three places, those at (0.3, 0.3) and (0.6, 0.5) lie in the box from (0.2, 0.2) to (0.6, 0.6)."""
    places = torch.tensor([[[[0.3, 0.3], [0.6, 0.5], [0.7, 0.4]]]])
    locations = SamplingLocations(places, torch.tensor([[[0.5, 0.2, 0.3]]]))
    boxes = torch.tensor([[[0.4, 0.4, 0.4001, 0.4001]]])
    assert mass_in_boxes(locations, boxes).item() == pytest.approx(0.7)


@pytest.mark.parametrize("name", NAMES)
def test_a_teacher_of_other_classes_or_of_one_layer_shows_where_its_own_layers_read(name):
    model, memory, queries = decoded(name)
    own, mapped = sampling_locations(model, memory, queries), ClassMapped(model, ((1,), (0,)))
    for wrapped, expected in ((mapped, own), (LastLayer(mapped), own[-1:])):
        locations = sampling_locations(wrapped, memory, queries)
        assert len(locations) == wrapped.config.layers == len(expected)
        assert all(torch.equal(a.places, b.places) for a, b in zip(locations, expected))


def test_a_detector_without_samplers_has_none(monkeypatch):
    model, memory, queries = decoded("adamixer")
    monkeypatch.setattr(type(model), "samplers", Detector.samplers)
    assert sampling_locations(model, memory, queries) == ()
