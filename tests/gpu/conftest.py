"""Tests that need a GPU. With `--device cpu` they run on the CPU as far as they go there, at the same small sizes."""

import pytest
import torch

NO_CUDA = "no CUDA device here; --device cpu runs what a CPU can"


def pytest_addoption(parser):
    parser.addoption("--device", default="cuda", choices=("cuda", "cpu"), help="where the tests of tests/gpu run")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name == "gpu":
            item.add_marker(pytest.mark.cuda)


@pytest.fixture
def device(request) -> torch.device:
    """The device under test; skips the test if it is not there."""
    name = request.config.getoption("--device", default="cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip(NO_CUDA)
    return torch.device(name)


@pytest.fixture
def gpu(device) -> torch.device:
    """A device that must be a GPU; skips the test on the CPU."""
    if device.type != "cuda":
        pytest.skip("this is about CUDA itself, and a CPU has nothing of it")
    return device
