"""The contract, for every detector in core/detectors."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from core import detectors, drop_ins
from core.distiller import Distiller
from core.types import Images, Predictions, Queries
from tests.helpers import hub, tiny

kinds = pytest.mark.parametrize("kind", tiny.kinds())


def equal(a: Predictions, b: Predictions) -> bool:
    return all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values()))


def close(a: Predictions, b: Predictions) -> None:
    for x, y in zip(vars(a).values(), vars(b).values()):
        torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-4)


@kinds
def test_sizes_are_those_of_the_config(kind, batch):
    model, (images, _) = tiny.detector(kind), batch
    c, memory = model.config, model.encode(images)
    p = model.decode(memory, model.propose(memory))
    assert p.logits.shape == (c.layers, 2, c.queries, c.classes)
    assert p.boxes.shape == (c.layers, 2, c.queries, 4) and p.hidden.shape == (c.layers, 2, c.queries, c.width)
    assert memory.strides == model.strides == c.strides and torch.equal(memory.sizes, images.sizes)
    for source in ("neck", "encoder"):
        assert [x.shape[:2] for x in memory.maps(source)] == [(2, c.width)] * len(c.strides)
    for stride, (h, w), pad in zip(c.strides, memory.shapes, memory.padding):
        assert pad.shape == (2, h, w) and h * stride >= 64 and w * stride >= 64
        assert (~pad).any((1, 2)).all(), "some place of every image is valid on every level"
    assert model.kind == kind and detectors.name_of(c) == ("hub" if kind in hub.NAMES else kind)


@kinds
def test_inference_is_the_own_group(kind, batch):
    model, (images, _) = tiny.detector(kind), batch
    memory = model.encode(images)
    assert equal(model(images), model.decode(memory, model.propose(memory)))


@kinds
def test_prediction_is_the_last_layer_of_a_forward_pass(kind, batch):
    model, (images, _) = tiny.detector(kind).eval(), batch
    with torch.no_grad():
        last, all_layers = model.predict(images), model(images)
    for name in ("logits", "boxes", "hidden"):
        x, y = getattr(last, name), getattr(all_layers, name)
        assert x.shape == y[-1:].shape
        torch.testing.assert_close(x, y[-1:], rtol=1e-4, atol=2e-5)


@kinds
def test_random_weights_tell_queries_layers_and_images_apart(kind, batch):
    """Else the relations below would hold of nothing."""
    p = tiny.detector(kind)(batch[0])
    for x in (p.logits, p.boxes, p.hidden):
        assert x.std(0).mean() > 0.01 and x.std(1).mean() > 0.01 and x.std(2).mean() > 0.01


@kinds
def test_groups_that_are_decoded_together_are_those_that_are_decoded_alone(kind, batch):
    """Up to rounding, and so are the gradients of memory; AdaMixer makes one pass of all of them."""
    model, other, (images, _) = tiny.detector(kind), tiny.detector(kind, seed=2, queries=7), batch
    with torch.no_grad():
        memory, theirs = model.encode(images), other.propose(other.encode(images)).detach()
    leaf = replace(memory, neck=tuple(x.clone().requires_grad_() for x in memory.neck))
    groups = {"own": model.propose(leaf), "prior": theirs, "more": tiny.reordered(theirs, torch.randperm(7)[:3])}
    together, alone = model.decode_groups(leaf, groups), {name: model.decode(leaf, q) for name, q in groups.items()}
    assert list(together) == list(groups)
    for name, predictions in alone.items():
        close(together[name], predictions)
    sums = [sum(p.logits.sum() + p.boxes.sum() for p in found.values()) for found in (together, alone)]
    if sums[0].requires_grad and leaf.tokens is None:
        for x, y in zip(*(torch.autograd.grad(x, leaf.neck) for x in sums)):
            torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-3)


@kinds
def test_28_a_group_changes_no_other(kind, batch):
    """Bit for bit, whatever is decoded before it or after it, with gradients or without."""
    model, other, (images, _) = tiny.detector(kind), tiny.detector(kind, seed=2, queries=7), batch
    memory = model.encode(images)
    own = model.propose(memory)
    alone = model.decode(memory, own)
    group = model.decode(memory, other.propose(other.encode(images)))
    again = model.decode(memory, own)
    assert group.logits.shape[2] == 7 and equal(alone, again)
    with torch.no_grad():
        assert equal(alone, model.decode(memory, own))


@kinds
def test_the_order_of_queries_does_not_matter(kind, batch):
    model, (images, _) = tiny.detector(kind), batch
    memory = model.encode(images)
    own = model.propose(memory)
    p = model.decode(memory, own)
    for _ in range(3):
        order = torch.randperm(p.logits.shape[2])
        moved = model.decode(memory, tiny.reordered(own, order))
        close(moved, Predictions(*(x[:, :, order] for x in vars(p).values())))


@kinds
def test_padding_is_never_read(kind):
    model = tiny.detector(kind)
    for seed, sizes in enumerate([((64, 64), (48, 40)), ((33, 96), (64, 61)), ((64, 64), (1, 1))]):
        images, _ = tiny.batch(sizes, seed=seed)
        noise = torch.randint(0, 256, images.pixels.shape, dtype=torch.uint8)
        noisy = replace(images, pixels=torch.where(images.padding[:, None], noise, images.pixels))
        assert not torch.equal(images.pixels, noisy.pixels) and equal(model(images), model(noisy))
        changed = replace(images, pixels=torch.where(images.padding[:, None], images.pixels, noise))
        assert not equal(model(images), model(changed)), "pixels of the image are read"


@kinds
def test_images_of_a_batch_do_not_see_each_other(kind):
    model = tiny.detector(kind)
    images, _ = tiny.batch(((64, 96), (64, 96), (50, 70)))
    p = model(images)
    for i in range(3):
        alone = model(Images(*(None if x is None else x[i : i + 1] for x in vars(images).values())))
        close(alone, Predictions(*(x[:, i : i + 1] for x in vars(p).values())))


@kinds
@pytest.mark.parametrize("size", [(1, 1), (31, 97), (64, 65)])
def test_any_size_will_do(kind, size):
    p = tiny.detector(kind)(tiny.batch((size,), (1,))[0])
    assert all(x.isfinite().all() for x in vars(p).values())


@kinds
def test_names_and_sources_of_images_are_not_read(kind, batch):
    model, (images, _) = tiny.detector(kind), batch
    assert equal(model(images), model(replace(images, ids=images.ids + 5, original=images.original * 3)))


@kinds
@pytest.mark.parametrize("counts", [(0, 0), (0, 2)])
def test_an_image_without_objects_trains(kind, counts):
    step = tiny.distiller(tiny.detector(kind)).train()
    step(*tiny.batch(counts=counts)).total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in step.parameters())
    assert step(tiny.batch()[0], tiny.no_targets(2)).total.isfinite()


@kinds
def test_every_trainable_parameter_gets_a_gradient(kind, batch):
    step = tiny.distiller(*tiny.pair(kind)).train()
    step(*batch).total.backward()
    assert [name for name, p in step.named_parameters() if p.requires_grad and p.grad is None] == []
    grown = [p.grad.abs().max() > 1e-7 for p in step.student.parameters() if p.requires_grad]
    assert sum(grown) > 0.9 * len(grown)


@kinds
def test_training_keeps_the_statistics_of_batchnorm(kind, batch):
    step = tiny.distiller(tiny.detector(kind)).train()
    norms = [m for m in step.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    before = {name: x.clone() for name, x in step.student.named_buffers()}
    step(*batch).total.backward()
    assert all(torch.equal(x, before[name]) for name, x in step.student.named_buffers())
    assert not any(m.training for m in norms)


@kinds
def test_frozen_stages_are_not_trained_and_the_rest_is(kind):
    model = tiny.detector(kind, frozen=2)
    if model.own_backbone is None or not hasattr(model.config, "frozen"):
        pytest.skip(f"{kind} has no backbone with frozen stages, which are optional")
    stages = model.own_backbone.stages
    assert not any(p.requires_grad for stage in stages[:2] for p in stage.parameters())
    rest = {id(p) for stage in stages[:2] for p in stage.parameters()}
    norms = [m for m in model.own_backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    rest |= {id(p) for m in norms for p in m.parameters()}
    assert all(p.requires_grad for p in model.parameters() if id(p) not in rest)


@kinds
def test_a_seed_gives_one_model(kind):
    a, b, c = tiny.detector(kind, seed=3), tiny.detector(kind, seed=3), tiny.detector(kind, seed=4)
    assert all(torch.equal(x, b.state_dict()[k]) for k, x in a.state_dict().items())
    assert any(not torch.equal(x, c.state_dict()[k]) for k, x in a.state_dict().items())


@kinds
def test_autocast_to_bfloat16_trains(kind, batch):
    pair = partial(tiny.pair, kind, noise=1.0)
    step = tiny.distiller(*pair()).train()
    with torch.autocast("cpu", torch.bfloat16):
        trace = step(*batch)
    trace.total.backward()
    assert trace.total.dtype == torch.float32 and trace.total.isfinite()
    assert trace.total.item() == pytest.approx(tiny.distiller(*pair())(*batch).total.item(), rel=0.15)


@pytest.mark.parametrize("name", ["yolo", "base", "os", "adamixer.Model", "../adamixer", "core.detectors.adamixer", ""])
def test_an_unknown_detector_is_refused_before_anything_is_imported(name, monkeypatch):
    monkeypatch.setattr(drop_ins, "import_module", None)
    for call in (detectors.module, detectors.build):
        with pytest.raises(ValueError, match="no detector .*; there are adamixer"):
            call(name)


def test_a_name_builds_the_model_of_its_file():
    model = detectors.build("adamixer", **{k: v for k, v in vars(tiny.config("adamixer")).items() if k != "matching"})
    assert model.kind == "adamixer" and model.matching.box == "xyxy" and model.matching.eps == 1e-12


def test_queries_that_a_detector_makes_are_all_it_needs_to_decode(batch):
    """A group that went through another process, as plain tensors, is decoded to the same bits."""
    for kind in tiny.kinds():
        model = tiny.detector(kind)
        memory = model.encode(batch[0])
        own = model.propose(memory)
        copied = Queries(*(x.detach().clone() if isinstance(x, torch.Tensor) else None for x in vars(own).values()))
        assert equal(model.decode(memory, own), model.decode(memory, copied))
    assert isinstance(tiny.distiller(model), Distiller)
