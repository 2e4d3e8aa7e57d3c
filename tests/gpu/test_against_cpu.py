"""Every detector and every loss on the device says what it says on the CPU, forward and backward.

In float32, which the detectors' boxes and all losses are made in whatever the precision around them; the sampling kernel is
compared in float64 too, in test_sampling_kernel.py.
"""

from copy import deepcopy

import pytest
import torch

from analysis.bench._gpu_place import tf32
from core import losses
from core.matching.solving import solve
from tests.helpers import tiny
from tests.helpers.devices import DETECTORS, copied, distance, moved


def build(case: str, **more):
    return tiny.detector(case.split()[0], **DETECTORS[case] | more)


@pytest.fixture(autouse=True)
def exact():
    with tf32(False):
        yield


@pytest.mark.parametrize("case", DETECTORS)
def test_a_detector_predicts_and_learns_the_same(case, device):
    model = build(case)
    there = deepcopy(model).to(device)
    images, _ = tiny.batch()
    results = []
    for one, inputs in ((model, images), (there, images.to(device))):
        p = one(inputs)
        torch.manual_seed(0)
        total = sum((x * torch.randn(x.shape).to(x)).sum() for x in (p.logits, p.boxes))
        total.backward()
        results.append({"logits": p.logits, "boxes": p.boxes} | {n: w.grad for n, w in one.named_parameters()})
    right, made = results
    assert made["boxes"].device.type == device.type and made["boxes"].dtype == torch.float32
    assert all((right[name] is None) == (made[name] is None) for name in right)
    apart = {name: distance(made[name], x) for name, x in right.items() if x is not None and x.norm() > 1e-4}
    assert max(apart.values()) < 2e-3, max(apart.items(), key=lambda item: item[1])


@pytest.mark.parametrize("name", losses.names())
def test_a_loss_is_the_same(name, device):
    """Matched on the CPU in both cases, so that a tie in the last bit pairs no query otherwise."""
    student, teacher = tiny.pair("adamixer")
    step = tiny.distiller(student, teacher, [name])
    images, targets = tiny.batch()
    with torch.no_grad():
        trace = step(images, targets)
        inputs = trace.student, trace.teacher, trace.targets
        pairs = solve({name: step.losses[name].problems(*inputs)})[name]
    results = []
    for place in (torch.device("cpu"), device):
        own, *others = moved(copied(inputs), place)
        leaves = [x.requires_grad_() for x in (own.own.logits, own.own.boxes, own.own.hidden, *own.memory.neck)]
        torch.manual_seed(5)
        maps = deepcopy(step.losses[name]).to(place)(own, *others, moved(pairs, place)).maps
        total = sum(x.sum() for x in maps.values())
        parts = torch.autograd.grad(total, leaves, allow_unused=True) if total.requires_grad else ()
        results.append([*maps.values(), *(x for x in parts if x is not None)])
    right, made = results
    assert len(right) == len(made)
    for a, b in zip(made, right):
        assert a.isfinite().all()
        assert distance(a, b) < 1e-3


@pytest.mark.parametrize("case", DETECTORS)
def test_a_distilled_step_has_the_same_total(case, device):
    student, teacher = build(case), build(case, seed=2, queries=12)
    step = tiny.distiller(student, teacher)
    there = deepcopy(step).to(device)
    images, targets = tiny.batch()
    totals = []
    for one, place in ((step, "cpu"), (there, device)):
        torch.manual_seed(0)
        totals.append(one(images.to(place), targets.to(place)).total)
    assert distance(totals[1], totals[0]) < 1e-3
