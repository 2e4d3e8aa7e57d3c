"""Images that are copied ahead: the same run to the last bit, errors in their turn, and streams in the right order."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from core.errors import UserError
from tests.helpers import runs, tiny
from train.engine import ahead, loop
from train.engine.ahead import CopiedAhead

CPU = torch.device("cpu")


def test_a_run_is_the_same_to_the_last_bit_also_resumed(tmp_path, monkeypatch):
    run = runs.small(optim=replace(runs.OPTIM, passes=2, epochs=1), recorded=0)
    expected = loop.fit(run, tmp_path / "plain")
    begun, real = [], CopiedAhead.begin
    monkeypatch.setattr(CopiedAhead, "begin", lambda self: begun.append(self) or real(self))
    found = loop.fit(replace(run, prefetch=True), tmp_path / "ahead")
    runs.fit_until_power_cut(replace(run, prefetch=True), tmp_path / "cut", monkeypatch, step=3)
    loop.resume(tmp_path / "cut")
    assert runs.steps(found) == runs.steps(tmp_path / "cut") == runs.steps(expected)
    for name in ("student.safetensors", "losses.safetensors"):
        files = [load_file(path / name) for path in (expected, found, tmp_path / "cut")]
        assert all(torch.equal(x, file[key]) for file in files[1:] for key, x in files[0].items())
    assert len(begun) > 3, "each step begins the copy of the next"


def test_an_error_waits_for_its_turn():
    def steps():
        yield [tiny.batch()]
        raise UserError("image 7 is broken; mend it")

    batches = CopiedAhead(steps(), CPU)
    assert len(next(batches)) == 1
    batches.begin()
    with pytest.raises(UserError, match="image 7"):
        next(batches)
    with pytest.raises(StopIteration):
        next(batches)


def test_what_is_begun_twice_is_read_once():
    batches = CopiedAhead(iter([[tiny.batch()]] * 2), CPU)
    batches.begin()
    batches.begin()
    assert len(list(batches)) == 2


def test_streams(monkeypatch):
    """On a stand-in for CUDA: the copy is on its own stream, and the present one waits for it before it takes the images."""
    said = []

    class Stream:
        def __init__(self, device=None):
            self.name = "own" if device else "present"

        def wait_stream(self, other):
            said.append(f"{self.name} waits for {other.name}")

    class Copy:
        def record_stream(self, stream):
            said.append(f"kept for {stream.name}")

    @contextmanager
    def on(stream):
        said.append(f"on {stream.name}")
        yield
        said.append("off")

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    monkeypatch.setattr(ahead, "moved", lambda images, device: said.append("copy") or images)
    monkeypatch.setattr(ahead, "large", lambda images: {"pixels": Copy()})
    batches = CopiedAhead(iter([[tiny.batch()]]), torch.device("cuda"))
    batches.begin()
    assert said == ["on own", "copy", "off"], "nothing waits yet"
    next(batches)
    assert said[3:] == ["present waits for own", "kept for present"]
