"""What is particular to Conditional and Deformable DETR; the contract of all detectors is in test_detectors."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from core import detectors
from core.errors import UserError
from core.limits import refuse_outside
from core.runs.checkpoint import new_detector
from core.types import Queries
from tests.helpers import tiny

CASES = {
    "conditional": ("conditional", {"strides": (16,)}),
    "deformable": ("deformable", {"strides": (4, 8, 16)}),
    "refined": ("deformable", {"strides": (16, 32, 64), "refine": True}),
    "two-stage": ("deformable", {"strides": (8, 16), "refine": True, "two_stage": True, "queries": 5}),
}
SMALL = {"encoder_layers": 1, "heads": 4, "feedforward": 16}


def build(case: str, **more):
    name, options = CASES[case]
    return tiny.detector(name, **SMALL | options | more)


@pytest.fixture(params=CASES)
def model(request):
    return build(request.param)


@pytest.mark.parametrize("strides", [(), (64,), (16, 8), (8, 8), (64, 8), (8, 16, 64), (8, 48), (16, 32, 64, 64)])
def test_levels_beyond_the_backbones_double_the_stride(strides):
    config = replace(tiny.config("deformable"), strides=strides)
    with pytest.raises(UserError, match=r"strides is \(.*each twice the one before"):
        detectors.module("deformable").Model(config)


@pytest.mark.parametrize(("width", "fits"), [(6, False), (4, True), (36, True)])
def test_a_conditional_detr_places_sine_and_cosine_of_two_coordinates_in_its_width(width, fits, batch):
    config = tiny.config("conditional", width=width, heads=2)
    with nullcontext() if fits else pytest.raises(UserError, match="width is 6; it must be .* a multiple of 4"):
        refuse_outside(config)
        assert new_detector(config, "student")(batch[0]).boxes.isfinite().all()


def test_no_encoder_is_allowed(batch):
    for case in CASES:
        model = build(case, encoder_layers=0)
        memory = model.encode(batch[0])
        assert all(torch.equal(a, b) for a, b in zip(memory.maps("encoder"), memory.neck))
        assert model(batch[0]).boxes.isfinite().all()


def test_a_group_without_proposals_decodes_as_the_own(model, batch):
    """What query-prior assignment passes on is enough to decode."""
    memory = model.encode(batch[0])
    own = model.propose(memory)
    passed = own.detach()
    assert passed.proposals is None
    assert torch.equal(model.decode(memory, own).boxes, model.decode(memory, passed).boxes)


def test_reference_points_are_made_by_the_decoding_model(batch):
    """A teacher's position embedding goes through the student's layer."""
    for case in ("conditional", "deformable", "refined"):
        student, teacher = build(case, seed=1), build(case, seed=2)
        memory = student.encode(batch[0])
        queries = teacher.propose(teacher.encode(batch[0]))
        assert queries.anchors is None
        before = student.decode(memory, queries).boxes
        layer = student.to_reference if case != "conditional" else student.to_reference[-1]
        layer.bias.data += 1
        assert (student.decode(memory, queries).boxes - before)[0, ..., :2].abs().min() > 1e-3


def test_conditional_starts_from_positions_alone(batch):
    model = build("conditional")
    memory = model.encode(batch[0])
    own = model.propose(memory)
    assert own.content is None and own.anchors is None
    other = Queries(content=torch.randn_like(own.position), position=own.position)
    assert torch.equal(model.decode(memory, own).boxes, model.decode(memory, other).boxes)


def test_gradients_stop_between_refined_layers_alone(batch):
    """A later layer's box moves the reference of a plain model, and of a refined one only through the content."""
    for case, flows in (("deformable", True), ("refined", False)):
        model = build(case)
        for layer in model.decoder:  # without what follows the reference into the content
            layer.reading.to_out.weight.data.zero_()
        boxes = model(batch[0]).boxes[-1]
        (slope,) = torch.autograd.grad(boxes.sum(), model.to_reference.weight, allow_unused=True)
        assert (slope is not None and bool(slope.any())) == flows


def test_two_stage_proposals_are_the_most_likely_tokens(batch):
    model = build("two-stage")
    memory = model.encode(batch[0])
    queries = model.propose(memory)
    p = queries.proposals
    tokens = sum(h * w for h, w in memory.shapes)
    assert p.logits.shape[:3] == (1, 2, tokens) and p.boxes.isfinite().all()
    score = p.logits[0, ..., 0]
    for image in range(2):
        chosen = [torch.equal(box, anchor) for anchor in queries.anchors[image] for box in p.boxes[0, image]]
        chosen = torch.tensor(chosen).view(5, tokens).any(0)
        assert score[image, chosen].min() >= score[image, ~chosen].max()
    assert not queries.anchors.requires_grad and queries.content.requires_grad


def test_two_stage_says_nothing_of_padding_and_rim(batch):
    """Their tokens propose the whole image, whatever the encoder makes of them."""
    images = replace(batch[0], padding=batch[0].padding.clone())
    model = build("two-stage")
    memory = model.encode(images)
    silent = torch.cat([p.flatten(1) for p in memory.padding], 1)
    assert silent.any()
    assert (model.propose(memory).proposals.boxes[0][silent] == 1).all()
    other = replace(memory, tokens=torch.where(silent[..., None], memory.tokens + 9, memory.tokens))
    assert torch.equal(model.propose(memory).anchors, model.propose(other).anchors)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_and_finite(model, batch, dtype):
    exact = model(batch[0])
    with torch.autocast("cpu", dtype=dtype):
        p = model(batch[0])
    assert p.boxes.dtype == torch.float32
    if model.kind == "conditional" or not model.config.two_stage:  # whose ranking may turn
        assert (p.boxes - exact.boxes).abs().max() < 0.1
    (p.boxes.sum() + p.logits.float().sum()).backward()
    assert all(x.grad is None or x.grad.isfinite().all() for x in model.parameters())


def test_the_forward_pass_never_asks_the_device(model, batch):
    """With tensors that have shapes and no values, any look at a value fails."""
    images, targets = batch
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        images = replace(images, **{k: fake.from_tensor(x) for k, x in vars(images).items() if x is not None})
        boxes = model.train()(images).boxes
    assert boxes.shape[:2] == (2, len(targets.counts))


def test_dropout_is_for_training(batch):
    for case in ("conditional", "deformable"):
        model = build(case, dropout=0.5)
        assert torch.equal(model(batch[0]).boxes, model(batch[0]).boxes)
        model.train()
        assert not torch.equal(model(batch[0]).boxes, model(batch[0]).boxes)


@pytest.mark.parametrize(
    "name, options, say",
    [
        ("deformable", {"two_stage": True}, "refine"),
        ("conditional", {"strides": (8, 16)}, "one map"),
        ("conditional", {"strides": (32,), "dilation": True, "backbone": "resnet50"}, "strides"),
        ("conditional", {"strides": (16,), "dilation": True, "backbone": "resnet18"}, "resnet101"),
    ],
)
def test_what_cannot_be_built_is_said(name, options, say):
    with pytest.raises(UserError, match=say):
        detectors.build(name, **options)


def test_too_few_tokens_for_the_queries_is_said(batch):
    with pytest.raises(UserError, match="tokens"):
        build("two-stage", queries=1000)(batch[0])
