"""Half precision around costs, boxes and losses, which are in float32: whatever the network says, the step is finite."""

from dataclasses import replace

import pytest
import torch

from tests.helpers import tiny

CASES = {"adamixer": {}, "conditional": {}, "deformable": {"refine": True, "two_stage": True}}
halves = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
cases = pytest.mark.parametrize("case", CASES)


def build(case: str, **more):
    return tiny.detector(case, **CASES[case] | more)


@torch.no_grad()
def extreme(detector, logit: float):
    """Its logits are far from 0, and its boxes all but empty."""
    small = torch.tensor([0.0, 0.0, -60.0, 0.0 if detector.kind == "adamixer" else -60.0])  # a scale, or two sides
    for name, p in detector.named_parameters():
        if name.endswith("bias") and p.shape == (4,):  # of heads: there are 4 classes, and 4 sides of a box
            p.add_(logit if "to_class" in name else small)
    return detector


@cases
@halves
@pytest.mark.parametrize("logit", [-50.0, 50.0])
def test_logits_far_from_zero_and_boxes_of_no_size_train(case, dtype, logit):
    student, teacher = extreme(build(case), logit), extreme(build(case, seed=2, queries=12), -logit)
    step = tiny.distiller(student, teacher).train()
    images, targets = tiny.batch()
    targets = replace(targets, boxes=targets.boxes * torch.tensor([1, 1, 0, 0]))
    with torch.autocast("cpu", dtype):
        trace = step(images, targets)
    own = trace.student.own
    assert own.logits[-1].abs().median() > 40 and own.boxes[-1, ..., 2:].median() < 1e-6
    assert trace.total.dtype == own.boxes.dtype == torch.float32
    assert all(m.isfinite().all() for o in trace.outcomes.values() for m in o.maps.values())
    trace.total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in step.parameters())


@cases
@halves
def test_half_precision_says_about_the_same(case, dtype):
    model, (images, _) = build(case), tiny.batch()
    memory = model.encode(images)
    queries = model.propose(memory)
    exact = model.decode(memory, queries)
    with torch.autocast("cpu", dtype):
        half = model.decode(memory, queries)
    assert (half.boxes - exact.boxes).abs().mean() < 0.02
    assert (half.logits.float() - exact.logits).abs().mean() < 0.05 * exact.logits.abs().mean()
