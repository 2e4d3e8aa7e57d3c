"""The device of `--device`: each process's own GPU, which becomes the current one."""

from types import SimpleNamespace

import pytest
import torch

from core.errors import UserError
from train.job.build import device_of


@pytest.fixture
def current(monkeypatch):
    """A machine with two GPUs; the list of those that were made the current one."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch, "empty", lambda size, device: SimpleNamespace(device=torch.device(device)))
    return chosen


def two_processes(monkeypatch, *, local: int, here: int = 2) -> None:
    """This process is one of two, of which `here` are on this machine."""
    for name, value in (("RANK", local), ("LOCAL_RANK", local), ("WORLD_SIZE", 2), ("LOCAL_WORLD_SIZE", here)):
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize("name, gpu", [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1")])
def test_the_gpu_that_is_named_becomes_the_current_one(name, gpu, current):
    assert device_of(name) == torch.device(gpu) and current == [torch.device(gpu)]


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_has_its_own_gpu(name, current, monkeypatch):
    two_processes(monkeypatch, local=1)
    assert device_of(name) == torch.device("cuda:1") and current == [torch.device("cuda:1")]
    assert device_of("cpu") == torch.device("cpu") and len(current) == 1


def test_one_gpu_for_all_processes_is_refused(current, monkeypatch):
    two_processes(monkeypatch, local=1, here=3)
    with pytest.raises(UserError, match=r"fewer GPUs \(2\) than processes \(3\); .* --nproc-per-node 2"):
        device_of("auto")
    with pytest.raises(UserError, match="--device cuda:0 would be the GPU of every process; leave --device at auto"):
        device_of("cuda:0")
    assert not current


def test_a_device_that_is_not_there_is_one_sentence():
    with pytest.raises(UserError, match="no device 'nowhere' here"):
        device_of("nowhere")
