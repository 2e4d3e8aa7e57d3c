"""Half precision, channels_last and torch.compile: finite, and close to float32 as it is."""

import pytest
import torch

from tests.helpers import tiny
from tests.helpers.devices import DETECTORS, distance
from train.job import optim
from train.run import Optim

STEPS = 20
FURTHEST = {torch.bfloat16: 0.1, torch.float16: 0.2}  # of the mean total of 20 steps, as a share of float32's
SCALE = 2.0**8  # of fp16's gradients at the start: with torch's own the first steps overflow, and are left out


def build(case: str, device, **more):
    return tiny.detector(case.split()[0], **DETECTORS[case] | more).to(device)


def totals(case: str, device, dtype, *, distilled: bool) -> list[float]:
    """The total loss of each of STEPS steps on one batch, in a precision."""
    student = build(case, device)
    step = tiny.distiller(student, build(case, device, seed=2, queries=12) if distilled else None)
    step = step.to(device).train()
    optimizer = optim.optimizer(step, Optim(lr=1e-4))
    scaler = torch.amp.GradScaler(device.type, init_scale=SCALE, enabled=dtype == torch.float16)
    images, targets = (x.to(device) for x in tiny.batch())
    totals = []
    for number in range(STEPS):
        torch.manual_seed(number)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            total = step(images, targets).total
        scaler.scale(total).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(step.parameters(), 10.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        totals.append(float(total.detach()))
    assert all(p.isfinite().all() for p in student.parameters())
    return totals


@pytest.mark.parametrize("distilled", [False, True], ids=["alone", "distilled"])
@pytest.mark.parametrize("case", ["adamixer", "conditional", "deformable"])
def test_twenty_steps_in_half_precision_are_finite_and_close_to_float32(case, distilled, device):
    right = totals(case, device, None, distilled=distilled)
    for dtype, furthest in FURTHEST.items():
        made = totals(case, device, dtype, distilled=distilled)
        assert all(x == x and abs(x) < float("inf") for x in made)
        apart = abs(sum(made) - sum(right)) / sum(right)
        assert apart < furthest, f"{dtype}: {apart:.3f}"


@pytest.mark.parametrize("case", DETECTORS)
def test_channels_last_says_the_same(case, device):
    images, _ = tiny.batch()
    with torch.no_grad():
        model = build(case, device)
        right = model(images.to(device))
        made = model.to(memory_format=torch.channels_last)(images.to(device))
    assert distance(made.logits, right.logits) < 1e-2 and distance(made.boxes, right.boxes) < 1e-2


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # dynamo's own
@pytest.mark.parametrize("case", DETECTORS)
def test_a_compiled_detector_says_and_learns_the_same(case, device):
    """Encoders and decoders are compiled, as `--compile` does; on the CPU without a code generator, to take seconds."""
    torch._dynamo.reset()
    backend = "inductor" if device.type == "cuda" else "aot_eager"
    images = tiny.batch()[0].to(device)
    results = []
    for compiled in (False, True):
        model = build(case, device)
        if compiled:
            model.encode = torch.compile(model.encode, backend=backend)
            model.decode = torch.compile(model.decode, backend=backend)
        p = model(images)
        (p.logits.sum() + p.boxes.sum()).backward()
        results.append([p.logits, p.boxes, *(w.grad for w in model.parameters() if w.grad is not None)])
    right, made = results
    assert len(right) == len(made)
    assert max(distance(a, b) for a, b in zip(made, right) if b.norm() > 1e-4) < 1e-2
