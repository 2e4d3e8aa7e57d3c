"""torch.export and torch.compile of the inference forward pass, on the CPU."""

import subprocess
import sys

import pytest
import torch

from core.project import ROOT
from tests.helpers import compiled


@torch.no_grad()
@pytest.mark.parametrize("name", compiled.CASES)
def test_export_says_what_the_detector_says_of_any_images_of_that_size(name):
    model = compiled.model(name)
    exported = torch.export.export(model, compiled.tensors(0)).module()
    for seed in range(len(compiled.SIZES)):
        for a, b in zip(exported(*compiled.tensors(seed)), model(*compiled.tensors(seed)), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compile_takes_the_whole_forward_pass(backend):
    """As one graph: no part of it falls back to Python."""
    command = [sys.executable, "-m", "tests.helpers.compiled", backend]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
