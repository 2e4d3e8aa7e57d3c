"""The estimate of memory agrees with what a training process takes."""

import ctypes
import os
import subprocess
import sys
from functools import partial

import pytest
import torch

from core.project import ROOT
from core.runs.class_mapping import ClassMapped
from core.runs.last_layer import LastLayer
from tests.helpers import tiny
from train.job import memory
from train.job.memory import AllocationCounter
from train.memory import meta_operations

EXACT = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # glibc hands back what is freed, so that growth is what is alive


@pytest.mark.parametrize(
    "detector, height, width",
    [
        ("deformable", 160, 224),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("deformable", 480, 640),
                ("conditional", 480, 640),
                ("conditional", 640, 960),
                ("adamixer", 320, 480),
            )
        ),
    ],
)
def test_a_process_that_trains_grows_by_what_was_expected(detector, height, width):
    command = [sys.executable, "-m", "tests.helpers.rss", detector, str(height), str(width), "1"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | EXACT, capture_output=True, text=True, check=True)
    taken, expected = map(int, done.stdout.split())
    assert taken == pytest.approx(expected, rel=0.25), f"{taken / 1e6:.0f} and {expected / 1e6:.0f} MB"


def test_the_ledger_counts_what_is_alive():
    with AllocationCounter() as ledger:
        a = torch.empty(1000, device="meta")
        b = a + 1
        assert ledger.now == 8000
        c = b.view(10, 100)
        del a, b
        assert ledger.now == 4000, "a view keeps what it is of"
        c.mul_(2)
        del c
    assert (ledger.now, ledger.peak) == (0, 8000)


OURS = ("detection", "logits", "features", "prior")
# All losses once; those of other methods are the same for every detector.
LOSSES = {"adamixer": None, "conditional": OURS, "deformable": OURS}


@pytest.mark.parametrize("kind, names", LOSSES.items())
def test_each_further_image_needs_as_much_and_a_larger_one_more(kind, names):
    step = tiny.distiller(*tiny.pair(kind), names)
    one, two, four, larger = (memory.estimate(step, n, (side, 64)) for n, side in ((1, 64), (2, 64), (4, 64), (1, 128)))
    assert 0 < two.step - one.step <= 1.05 * (four.step - two.step) / 2, "first gradients may be what needs most"
    assert larger.step > one.step
    assert one.weights == four.weights == sum(x.nbytes for x in [*step.parameters(), *step.buffers()])
    assert one.optimizer == 8 * sum(p.numel() for p in step.parameters() if p.requires_grad)
    assert memory.estimate(step, 1, (64, 64), passes=3).step > one.step, "gradients wait for the last pass"
    assert one.total == one.weights + one.optimizer + one.step


@pytest.mark.parametrize("kind, names", LOSSES.items())
def test_remembered_operations_change_no_estimate(kind, names, monkeypatch):
    step = tiny.distiller(*tiny.pair(kind), names)
    monkeypatch.setattr(meta_operations, "KNOWN", {})
    first, again = (memory.estimate(step, 2, (64, 96), passes=2) for _ in range(2))
    assert meta_operations.KNOWN
    monkeypatch.setattr(memory, "run_remembered", lambda func, args, kwargs: func(*args, **kwargs))
    assert first == again == memory.estimate(step, 2, (64, 96), passes=2)


COLUMNS = ((1,), (0, 2), (), (3,))  # of the teacher, for each class


@pytest.mark.parametrize("wrap", [LastLayer, partial(ClassMapped, columns=COLUMNS)])
def test_a_teacher_of_other_classes_or_of_one_layer_and_denoising_are_estimated(wrap):
    student, teacher = tiny.pair("adamixer")
    step = tiny.distiller(student, wrap(teacher), ("detection", "logits", "prior"), detection={"denoising": 2})
    assert memory.estimate(step, 2, (64, 96)).step > 0


def test_an_estimate_changes_nothing():
    """Not the weights, nor the random numbers that follow."""
    step = tiny.distiller(*tiny.pair("adamixer"))
    before, state = {k: x.clone() for k, x in step.state_dict().items()}, torch.random.get_rng_state()
    memory.estimate(step, 2, (64, 96))
    assert all(torch.equal(x, before[k]) for k, x in step.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(p.grad is None for p in step.parameters()) and not step.training


FAULTS = """
import resource, torch
from train.memory.allocator import keep_freed_memory
KEEP
def step():
    for _ in range(20):
        torch.zeros(SIZE)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
def test_freed_memory_is_kept_unless_the_environment_says_otherwise():
    def pages(keep: str, size: int = 2_000_000, **environment) -> int:
        code = FAULTS.replace("KEEP", keep).replace("SIZE", str(size))
        return int(subprocess.check_output([sys.executable, "-c", code], env=plain | environment, text=True, cwd=ROOT))

    plain = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    assert pages("keep_freed_memory()") < 200
    assert pages("keep_freed_memory()", size=20_000_000) < 200, "however large a block is"
    assert pages("keep_freed_memory()", **EXACT) > 10_000
