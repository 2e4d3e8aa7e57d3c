"""Whole runs on the device: what a kill, a full memory and several processes do to them; and what they need of memory."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from core.project import ROOT
from tests.helpers import runs, tiny
from tests.helpers.devices import distance
from train.engine import loop
from train.errors import Failed
from train.job.build import build
from train.job.memory import estimate
from train.run import Data

FURTHEST = 0.02  # of weights after a resumed run, as a share of the unbroken run's
ESTIMATE = 0.15  # of the memory estimate, from what was allocated


@pytest.fixture
def wanted(device):
    """The configuration of a small run on the device."""
    return runs.small(device=device.type, recorded=0, gradients_every=0)


def broken_and_resumed(run, tmp_path, monkeypatch):
    """The weights of a run, and of the same run that lost its power and went on."""
    loop.fit(run, tmp_path / "whole")
    runs.fit_until_power_cut(run, tmp_path / "broken", monkeypatch)
    loop.resume(tmp_path / "broken")
    return (weights(tmp_path / name) for name in ("whole", "broken"))


def weights(path):
    """The trained weights in the last checkpoint of a run."""
    return {n: x for n, x in load_file(path / "last" / "state.safetensors").items() if n.startswith("student.")}


def test_a_resumed_run_ends_close_to_an_unbroken_one(wanted, tmp_path, monkeypatch):
    whole, broken = broken_and_resumed(wanted, tmp_path, monkeypatch)
    assert max(distance(broken[name], x) for name, x in whole.items()) < FURTHEST


def test_with_deterministic_algorithms_it_ends_equal_to_the_bit(wanted, tmp_path, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        whole, broken = broken_and_resumed(wanted, tmp_path, monkeypatch)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(broken[name], x) for name, x in whole.items())


def test_a_full_memory_is_one_sentence_with_the_flag_to_change(gpu, wanted, tmp_path):
    """The GPU's memory is not filled: torch is told that a thousandth of it is all there is."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.001, gpu)
    data = replace(wanted.data, size=2048, augment=replace(wanted.data.augment, sizes=(2048,), longest=2048))
    try:
        with pytest.raises(Failed, match="--optim.passes"):
            loop.fit(replace(wanted, data=data), tmp_path / "run")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, gpu)
        torch.cuda.empty_cache()


@pytest.mark.parametrize("kind", ["adamixer", "conditional", "deformable"])
def test_the_memory_estimate_is_close_to_what_is_allocated(kind, gpu):
    size, images = (512, 640), 4
    model = tiny.detector(kind, backbone="resnet18", queries=100, layers=3, width=128, feedforward=512)
    step = tiny.distiller(model).to(gpu).train()
    needed = estimate(step, images, size)
    batch, targets = (x.to(gpu) for x in tiny.batch((size,) * images, (8,) * images))
    step(batch, targets).total.backward()  # allocates what only the first step needs
    step.zero_grad()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step(batch, targets).total.backward()
    allocated = torch.cuda.max_memory_allocated() - before
    assert abs(needed.step - allocated) < ESTIMATE * allocated, f"{needed.step / allocated:.2f} of it"


def test_one_process_under_torchrun_trains_the_same(device, wanted, tmp_path):
    """DistributedDataParallel on one device: over NCCL on a GPU, over gloo on a CPU."""
    loop.fit(wanted, tmp_path / "runs" / "alone")
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    words += ["-m", "train", "fit", "--card", str(tmp_path / "runs" / "alone" / "card.json")]
    words += ["--out", str(tmp_path / "runs" / "ddp")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "QUICK": "0"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    alone, ddp = (weights(tmp_path / "runs" / x) for x in ("alone", "ddp"))
    assert max(distance(ddp[name], x) for name, x in alone.items()) < FURTHEST


def test_batches_are_pinned_on_a_gpu(device, wanted):
    job = build(replace(wanted, data=Data(train_limit=4, val_limit=2, size=48)))
    images, _ = next(iter(job.loader.epoch(0)))
    assert images.pixels.is_pinned() == (device.type == "cuda")
