"""The benchmark of a GPU: without one it says so; its rows are made on the CPU at tiny sizes, by the clock of the host."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from analysis.__main__ import main
from analysis.bench import _gpu_options, _gpu_place, _gpu_sampling, _gpu_steps, gpu
from analysis.bench._gpu_place import Place, by_host, measured, operations
from core.errors import UserError
from core.matching import solving
from core.project import ROOT
from tests.helpers import tiny

CPU = Place(torch.device("cpu"), by_host, times=2, warm=1)


# In a process of its own, since the tests' checks of shapes are in the way of a compiler.
ALL_ROWS = """
import json, torch
from analysis.bench import gpu
from analysis.bench._gpu_place import Place, by_host
print(json.dumps(gpu.measured_rows(Place(torch.device("cpu"), by_host, times=2, warm=1), quick=True, budget=500)))
"""


@pytest.fixture(scope="module")
def rows():
    words = [sys.executable, "-c", ALL_ROWS]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_is_one_sentence(capsys, tmp_path):
    assert main(["bench", "gpu", "--json", str(tmp_path / "gpu.json")]) == 2
    assert capsys.readouterr().err == "error: no CUDA device here\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_every_row_is_made_at_a_tiny_size(rows):
    assert not [row for row in rows if "error" in row]
    cases = [row["case"] for row in rows]
    assert len(set(cases)) == len(cases)
    for what in ("sampling, encoder, kernel", "sampling, AdaMixer, kernel", "loader, short side 48, 1 workers"):
        assert what in cases
    for kind, how in (("conditional", "eager"), ("deformable", "eager")):
        for side in ("ours", "theirs"):
            assert f"{kind}, {side}, step, fp32, batch 2, {how}" in cases
    steps = [row for row in rows if ", step, " in row["case"] and row["case"].endswith("eager")]
    assert len(steps) == 5 and all(row["images_s"] > 0 < row["share_of_peak"] for row in steps)


@pytest.mark.slow
def test_a_distilled_step_is_measured_with_its_parts(rows):
    row = next(row for row in rows if row["case"].startswith("distilled, deformable"))
    ms = {name: row[f"{name}_ms"] for name in ("student", "teacher", "extra", "distilled", "stored", "logits")}
    assert row["ratio"] == pytest.approx(ms["distilled"] / (ms["student"] + ms["teacher"] + ms["extra"]), abs=1e-3)
    assert row["logits_to_student"] == pytest.approx(ms["logits"] / ms["student"], abs=1e-3)
    assert 0 <= row["waits"] < 1


@pytest.mark.slow
def test_aims_are_of_the_rows(rows):
    aims = {a.aim: a for a in gpu.aims(rows)}
    assert len(aims) == 6
    ratio = aims["deformable's step, eager: of transformers' time at most 0.5"]
    known = {row["case"]: row for row in rows}
    own_ms, transformers_ms = (
        known[f"deformable, {side}, step, fp32, batch 2, eager"]["ms"] for side in ("ours", "theirs")
    )
    assert ratio.value == pytest.approx(own_ms / transformers_ms, abs=1e-3)
    assert ratio.met == (ratio.value <= 0.5)
    assert not gpu.aims([{"case": "device"}])


def test_one_distilled_step_of_tiny_detectors_is_measured():
    row = _gpu_steps.distilled_row(replace(CPU, times=1, warm=0), gpu.QUICK_STEPS, "deformable", 1)
    assert row["ratio"] > 0 < row["stored_to_student"] and 0 <= row["waits"] < 1 and "error" not in row.values()


def test_a_step_waits_as_long_as_it_takes_to_solve(monkeypatch):
    """On a clock that only the solver (9 ms a call) and a step without it (20 ms) move."""
    now, real = [0.0], solving.assign

    def solved(*args, **kwargs):
        now[0] += 9
        return real(*args, **kwargs)

    def clock(call, times):
        begun = now[0]
        call()
        return [20 + now[0] - begun]

    monkeypatch.setattr(solving, "assign", solved)
    step = tiny.distiller(*tiny.pair("deformable"), names=["detection", "logits"])
    place, call = replace(CPU, clock=clock, times=1, warm=0), _gpu_steps.step_of(step, *tiny.batch())
    (ms,) = clock(call, 1)
    assert ms == 20 + 4 * 9, "both detectors with the truth, positives, negatives"
    assert _gpu_steps.share_of_waits(place, call, ms) == pytest.approx(1 - 20 / ms)


def test_every_option_has_a_row_beside_the_same_without_it():
    size = _gpu_options.OptionSize(gpu.QUICK_STEPS, 2, compiled=False)
    rows = list(_gpu_options.rows(replace(CPU, times=1, warm=0), size))
    cases = [row["case"] for row in rows]
    for option, plain in {
        "AdamW, fused": "AdamW, one by one",
        "gradient norm, groups": "gradient norm, one by one",
        "2 steps, images copied one step ahead": "2 steps, images copied when asked for",
        "2 steps, images copied when asked for, from ordinary memory": "2 steps, images copied when asked for",
        "student's step, fp32, TF32 convolutions and products": "student's step, fp32, TF32 off",
        "student's step, bf16, channels_last": "student's step, bf16, contiguous_format",
        "teacher, bf16": "teacher, fp32",
    }.items():
        assert option in cases and plain in cases
    assert all(row["ms"] > 0 for row in rows) and rows[-1]["tflops"] > 0


def test_memory_is_compared_where_it_is_known():
    rows = [
        {"case": f"deformable, {side}, step, bf16, batch 2, eager", "ms": ms, "peak_mb": mb}
        for side, ms, mb in (("ours", 4.0, 50), ("theirs", 10.0, 100))
    ]
    time, memory = gpu.aims(rows)
    assert (time.value, time.met, memory.value, memory.met) == (0.4, True, 0.5, True)


def test_the_three_ways_of_sampling_make_the_same_sums():
    case = _gpu_sampling.random_case(CPU, gpu.QUICK_SAMPLING[0])
    made = [way(case) for way in _gpu_sampling.WAYS.values()]
    assert all(torch.allclose(x, made[0], atol=1e-5) for x in made)
    gradients = [torch.autograd.grad((x * x).sum(), case.inputs) for x in made]
    assert all(torch.allclose(a, b, atol=1e-4) for other in gradients for a, b in zip(other, gradients[0]))


def test_a_budget_ends_the_rows():
    rows = gpu.measured_rows(CPU, quick=True, budget=0)
    assert len(rows) == 3 and rows[-1]["error"] == "not measured: the 0 seconds are over"


def test_a_full_memory_is_a_row(monkeypatch):
    def full():
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    assert measured(CPU, full) == {"error": "the GPU's memory ran out"}


def test_the_clock_of_events_reads_them_after_the_last_call(monkeypatch):
    """On a stand-in for CUDA: every call lies between its own two events, and the host waits once."""
    said = []

    class Event:
        count = 0

        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            Event.count += 1
            self.at = Event.count
            said.append("event")

        def elapsed_time(self, other):
            return float(other.at - self.at)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: said.append("wait"))
    assert _gpu_place.by_events(lambda: said.append("call"), 2) == [1.0, 1.0]
    assert said == ["event", "call", "event"] * 2 + ["wait"]


def test_operations_are_those_of_products():
    a = torch.randn(3, 5)
    assert operations(lambda: a @ a.T) == 2 * 3 * 5 * 3


def test_a_gpu_that_is_not_there_is_a_user_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="^no CUDA device here$"):
        _gpu_place.gpu()
