"""Losses and costs that are not finite: a report with the batch, then a stop or a skipped step. And other failures of a run."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch

from core.data.loader import Loader, WorkerDied
from core.data.stored_batch import read_batch, write_batch
from core.data.transforms import Augment
from core.errors import UserError
from core.runs.checkpoint import open_distiller
from tests.core.data.test_data import Rectangles
from tests.helpers import runs, tiny
from train.engine import loop
from train.errors import NotFinite
from train.job.build import build


def spoiling(real, *, at: range, what: str):
    """Training.step, whose loss or cost is no number at these steps."""

    def step(training, *arguments):
        weight = dict(training.job.distiller.student.named_parameters())[what]
        before = weight.detach().clone()
        if training.progress.step in at:
            weight.data.fill_(torch.nan)
        line = real(training, *arguments)
        if training.progress.step - 1 in at:
            weight.data.copy_(before)
        return line

    return step


def report(path, step: int) -> dict:
    return json.loads((path / "faults" / f"step-{step}-0.json").read_text())


def test_a_cost_that_is_no_number_is_reported_with_its_batch(monkeypatch, tmp_path):
    monkeypatch.setattr(loop.Training, "step", spoiling(loop.Training.step, at=range(1, 2), what="neck.0.bias"))
    with pytest.raises(
        NotFinite, match=r"cost of matching \(truth student\) is not finite.*, at step 2 with images \[\d+"
    ):
        loop.fit(runs.small(), tmp_path / "run")
    told = report(tmp_path / "run", 2)
    images, targets = read_batch(tmp_path / "run" / "faults" / told["batches"][0]["batch"])
    assert told["step"] == 2 and told["epoch"] == 1 and told["weights"] == ["student.neck.0.bias"]
    assert images.ids.tolist() == told["batches"][0]["images"] and list(targets.counts) == told["batches"][0]["objects"]
    place = told["batches"][0]["places"][0]
    assert place == {"term": "matching truth student", "layer": 0, "image": images.ids[0].item()}
    again, _ = list(build(runs.small()).loader.epoch(0))[1]
    assert torch.equal(again.pixels, images.pixels) and torch.equal(again.ids, images.ids)


def test_a_loss_that_is_no_number_names_term_layer_and_image(monkeypatch, tmp_path):
    from core.losses.detection import Model

    real = Model.forward

    def forward(self, student, teacher, targets, pairs):
        found = real(self, student, teacher, targets, pairs)
        spoilt = found.maps["l1"].clone()
        spoilt[1, 2, 0] = torch.inf
        return replace(found, maps=found.maps | {"l1": spoilt})

    monkeypatch.setattr(Model, "forward", forward)
    with pytest.raises(NotFinite, match="total.*not finite, at step 1 with images"):
        loop.fit(runs.small(), tmp_path / "run")
    batch = report(tmp_path / "run", 1)["batches"][0]
    assert batch["places"] == [{"term": "detection/l1", "layer": 1, "image": batch["images"][2]}]
    assert "detection/l1" in report(tmp_path / "run", 1)["names"]


def test_a_gradient_that_is_no_number_is_told_from_the_others(monkeypatch, tmp_path):
    """The report is written before clipping, which would spread it to all weights."""
    real = loop.Training.forward_backward

    def forward_backward(training, *arguments, **more):
        maps = real(training, *arguments, **more)
        training.job.distiller.student.neck[0].bias.grad[0] = torch.nan
        return maps

    monkeypatch.setattr(loop.Training, "forward_backward", forward_backward)
    with pytest.raises(NotFinite, match="grad_norm not finite, at step 1"):
        loop.fit(runs.small(), tmp_path / "run")
    assert report(tmp_path / "run", 1)["gradients"] == ["student.neck.0.bias"]


def test_a_step_may_be_left_out(monkeypatch, tmp_path):
    plain = loop.Training.step
    monkeypatch.setattr(loop.Training, "step", spoiling(plain, at=range(3, 5), what="neck.0.bias"))
    path = loop.fit(runs.small(on_nan="skip"), tmp_path / "run")
    steps = runs.steps(path)
    assert [r["step"] for r in steps if "skipped" in r] == [4, 5] and len(steps) == 9
    assert steps[3]["total"] is None and steps[3]["terms"]["detection/class"] is None
    assert "NaN" not in (path / "metrics.jsonl").read_text()
    assert all(torch.isfinite(p).all() for p in open_distiller(path)[0].parameters())
    assert {p.name for p in (path / "faults").iterdir()} >= {"step-4-0.json", "step-5-0.json", "step-5-0-0.safetensors"}


def test_steps_are_not_left_out_forever(monkeypatch, tmp_path):
    monkeypatch.setattr(loop, "MAX_SKIPPED", 2)
    monkeypatch.setattr(loop.Training, "step", spoiling(loop.Training.step, at=range(1, 99), what="neck.0.bias"))
    with pytest.raises(NotFinite, match="at step 4"):
        loop.fit(runs.small(on_nan="skip"), tmp_path / "run")


def test_a_batch_comes_back_from_its_file(tmp_path):
    images, targets = tiny.batch()
    write_batch(tmp_path / "a.safetensors", images, targets)
    for mine, theirs in zip((images, targets), read_batch(tmp_path / "a.safetensors")):
        for name, value in vars(mine).items():
            other = getattr(theirs, name)
            assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other
    (tmp_path / "b.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(UserError, match="is not a stored batch"):
        read_batch(tmp_path / "b.safetensors")


class Deadly(Rectangles):
    def __getitem__(self, index: int):
        if index == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


@pytest.mark.slow  # torch's signal may come at any moment, also between two tests
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")  # its open pipes
def test_a_worker_that_is_killed_is_told():
    with pytest.raises(WorkerDied, match="reads images was killed.*try fewer --workers"):
        list(Loader(Deadly(8), Augment(), batch=2, workers=1).epoch(0))


def test_an_extra_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("train.job.build.importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs the trackio extra: pip install 'detrdistill\[trackio\]'"):
        loop.fit(runs.small(trackio=True), tmp_path / "run")
    assert not list(tmp_path.iterdir())
