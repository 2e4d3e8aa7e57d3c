"""A step on a device that is not the host waits for it at the solver alone.

The device is torch's "meta", whose tensors have shapes and no values, so whatever asks for one fails.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from core.matching import solving
from tests.helpers import tiny

CASES = {
    "adamixer": {},
    "conditional": {},
    "deformable": {},
    "deformable refined": {"refine": True},
    "deformable two-stage": {"refine": True, "two_stage": True},
}
cases = pytest.mark.parametrize("case", CASES)


def build(case: str, **more):
    return tiny.detector(case.split()[0], **CASES[case] | more)


class Waiting(TorchDispatchMode):
    """Lists copies from the host to the device for which Python waits."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out, name = func(*args, **(kwargs or {})), func.overloadpacket.__name__
        if name == "_to_copy":
            self.note(name, args[0], out, (kwargs or {}).get("non_blocking", False))
        if name == "copy_":
            self.note(name, args[1], out, *args[2:3])
        return out

    def note(self, name, source, out, non_blocking=False):
        if source.device != out.device and not non_blocking:
            self.found.append(name)


class Literals(TorchFunctionMode):
    """Lists tensors that are made of Python's numbers on the device, which waits for their copy."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in ("tensor", "new_tensor", "as_tensor") and out.device.type != "cpu":
            self.found.append(func.__name__)
        return out


@pytest.fixture
def answered(monkeypatch):
    """Number of tensors in each copy to the host, which are answered with random numbers."""
    calls, draw = [], np.random.default_rng(0)

    def answer(tensors):
        if tensors:
            calls.append(len(tensors))
        arrays = [draw.random(x.shape) > 0.5 if x.dtype == torch.bool else draw.random(x.shape) for x in tensors]
        return lambda: arrays

    monkeypatch.setattr(solving, "copy_to_host", answer)
    return calls


@cases
def test_a_step_waits_for_the_device_at_the_solver_alone(case, answered):
    student, teacher = build(case), build(case, seed=2, queries=12)
    step = tiny.distiller(student, teacher).to("meta").train()
    images, targets = (x.to("meta") for x in tiny.batch())
    with Waiting() as waiting, Literals() as literals:
        trace = step(images, targets)
        trace.total.backward()
    assert len(answered) == 3, "one copy for each detector's own queries, one for all losses"
    assert waiting.found == literals.found == []
    assert all(p.grad.device.type == "meta" for p in student.parameters() if p.grad is not None)


def test_the_watch_sees_what_waits():
    with Waiting() as waiting, Literals() as literals:
        x = torch.zeros(2).to("meta")
        x.new_tensor([1.0])
        torch.tensor([1.0], device="meta")
        torch.ones(2).to("meta", non_blocking=True)
        x.copy_(torch.ones(2))
    assert waiting.found == ["_to_copy", "copy_"] and literals.found == ["new_tensor", "tensor"]
    for ask in (torch.nonzero, torch.Tensor.item, torch.Tensor.cpu, bool, lambda x: x[x > 0]):
        with pytest.raises((RuntimeError, NotImplementedError)):
            ask(x[:1])


def test_the_end_of_the_copy_is_noted_on_the_stream_that_copies(monkeypatch):
    """On a GPU that is not the current one, the current stream is another's."""
    noted = []
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    monkeypatch.setattr(torch.cuda, "Event", lambda: SimpleNamespace(record=lambda *on: noted.extend(on)))
    with FakeTensorMode():
        solving.in_one_copy([torch.empty(2, device="cuda:1")])
    assert noted == ["stream of cuda:1"]
