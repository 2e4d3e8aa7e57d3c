"""The kernels, in Triton's interpreter and through its compiler, neither of which needs a GPU."""

import os
import subprocess
import sys

import pytest
import torch

from core.nn import sampling
from core.nn.sampling import Sample
from core.project import ROOT
from tests.core.nn.test_deformable_attention import case

pytest.importorskip("triton", reason="triton is not installed; torch's CUDA builds for Linux bring it")

# Compiles both kernels for a GPU that is not there. In a process of its own: the checks of shapes are in a compiler's way.
COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from core.nn import deformable_triton as kernels

SIZES = {"HEADS": 8, "POINTS": 16, "CHANNELS": 32, "BLOCK_M": 32, "BLOCK_C": 32, "ACCURACY": triton.language.float32}
INTEGERS = {"origin_row": "*i32", "rows_to_below": "*i32", "rows_to_right": "i32", "sums": "i32", "queries": "i32"}
for kernel in (kernels.forward_kernel, kernels.backward_kernel):
    for table, capability in (("fp32", 90), ("bf16", 90), ("fp16", 80)):
        types = {name: "*fp32" for name in kernel.arg_names} | dict.fromkeys(SIZES, "constexpr") | INTEGERS
        source = ASTSource(kernel, types | {"table": f"*{table}"}, constexprs=SIZES)
        made = triton.compile(source, target=GPUTarget("cuda", capability, 32))
        print(f".target sm_{capability}" in made.asm["ptx"], len(made.asm["cubin"]) > 0)
"""


def run(*words, **environment):
    everything = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=everything, capture_output=True, text=True, timeout=500
    )


def test_the_interpreted_kernels_pass_every_test_of_a_gpu():
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    words += ["-m", "cuda", "tests/gpu/test_sampling_kernel.py"]
    done = run(*words, "--device", "cpu", TRITON_INTERPRET="1")
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0 and "1 skipped" in last and "failed" not in last, done.stdout[-3000:]
    assert int(last.split()[0]) >= 60, "they were collected"


def test_the_kernels_compile_for_gpus(tmp_path):
    done = run("-c", COMPILE, TRITON_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["True"] * 12


def test_a_cpu_takes_its_own_way(monkeypatch):
    """Triton is not even imported, whatever torch says of GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    values, points, weights = case(0)
    layout = sampling.table_layout(((3, 4),), images=2, heads=2, groups=2, points=6, device=torch.device("cpu"))
    rows = sampling.table([values[:, :12].unflatten(1, (3, 4))], 2)
    assert not sampling.uses_kernels(rows)
    assert torch.equal(sampling.sample(rows, points, weights, layout), Sample.apply(rows, points, weights, layout))
    code = "import sys, core.nn.deformable; sys.exit('triton' in sys.modules)"
    assert run("-c", code).returncode == 0


def test_without_triton_a_gpu_takes_the_way_of_today(monkeypatch):
    monkeypatch.setattr(sampling, "HAS_TRITON", False)
    assert not sampling.uses_kernels(torch.empty(2, 2, device="meta"))
