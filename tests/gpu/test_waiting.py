"""A step on a GPU waits for it where the solver needs costs, and nowhere else."""

from contextlib import contextmanager

import pytest
import torch

from core.data.loader import Loader
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment
from core.matching import solving
from tests.helpers import tiny
from tests.helpers.devices import DETECTORS
from train.engine.ahead import CopiedAhead
from train.job import optim
from train.run import Optim


@contextmanager
def refused_waits(device):
    """While open, CUDA raises where Python waits for it; on a CPU, where nothing waits, this does nothing."""
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")


@pytest.fixture
def copies(monkeypatch, device):
    """Waits for copies to the host for matching, which are let through, and counted."""
    calls, real = [], solving.copy_to_host

    def counted(tensors):
        arrays = real(tensors)  # which begins the copy, and may not wait

        def arrived():
            calls.append(len(tensors))
            if device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")
            try:
                return arrays()
            finally:
                if device.type == "cuda":
                    torch.cuda.set_sync_debug_mode("error")

        return arrived

    monkeypatch.setattr(solving, "copy_to_host", counted)
    return calls


@pytest.mark.parametrize("case", DETECTORS)
def test_a_distilled_step_waits_for_matching_alone(case, device, copies):
    kind = case.split()[0]
    student = tiny.detector(kind, **DETECTORS[case]).to(device)
    teacher = tiny.detector(kind, **DETECTORS[case] | {"seed": 2, "queries": 12}).to(device)
    step = tiny.distiller(student, teacher).to(device).train()
    optimizer = optim.optimizer(step, Optim())
    pinned = tiny.batch()
    for _ in range(2):  # the first step allocates, and chooses algorithms
        images, targets = (x.to(device) for x in pinned)
        copies.clear()
        with refused_waits(device):
            step(images, targets).total.backward()
            torch.nn.utils.clip_grad_norm_(step.parameters(), 10.0)
            optimizer.step()
            optimizer.zero_grad()
    assert len(copies) == 3, "one wait for each detector's own queries, one for all losses"
    assert all(p.isfinite().all() for p in student.parameters())


def test_the_watch_sees_a_wait(gpu):
    with pytest.raises(RuntimeError, match="synchroniz"), refused_waits(gpu):
        torch.ones(3, device=gpu).sum().item()


def test_images_that_are_copied_ahead_are_those_of_the_loader(device):
    loader = Loader(Shapes("train", 12, 64), Augment(), 4, pin=device.type == "cuda")
    plain, ahead = (list(loader.steps(0, 0, until=1)) for _ in range(2))
    found = []
    for step in (batches := CopiedAhead(iter(ahead), device)):
        batches.begin()
        found.append([(images.pixels.to(device) + 0, images.padding.to(device) + 0) for images, _ in step])
    for one, other in zip(plain, found, strict=True):
        for (images, _), (pixels, padding) in zip(one, other, strict=True):
            assert torch.equal(images.pixels, pixels.cpu()) and torch.equal(images.padding, padding.cpu() > 0)
