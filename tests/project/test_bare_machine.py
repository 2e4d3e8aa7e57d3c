"""A machine that only trains, with its own torch and without the packages of the app and of AP: what is missing is named."""

import json
import os
import subprocess
import sys

import pytest
import torch

from core.project import ROOT
from tests.helpers import blocked, in_turn

ABSENT = ("tyro", "rich", "pyarrow", "gradio", "pycocotools", "faster_coco_eval", "pandas", "plotly", "matplotlib")


COMMANDS = (
    "train fit shapes_distill",
    "train eval runs/shapes_distill",
    "train resume runs/shapes_distill",
    "train fit shapes --batch 3",
    "analysis list",
)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The folder in which the commands were run, and by command, its exit code and what it said."""
    folder = tmp_path_factory.mktemp("bare")
    commands = [command.split() for command in COMMANDS]
    with blocked.start(*commands, cwd=folder, without=ABSENT) as process:
        said = process.communicate(timeout=500)[0]
    assert "Traceback" not in said, said
    return folder, dict(zip(COMMANDS, in_turn.ends(said), strict=True))


def test_it_trains_and_says_what_is_not_measured(ended):
    path, by_command = ended
    code, said = by_command["train fit shapes_distill"]
    assert code == 0 and "AP -" in said, said
    assert "note: AP is not measured: pip install faster-coco-eval" in said
    assert "note: assignments.parquet is not written: pip install pyarrow" in said
    folder = path / "runs" / "shapes_distill"
    scores = [x for x in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()) if "eval" in x]
    assert [x["ap"] for x in scores] == [None, None] and (folder / "student.safetensors").exists()
    code, said = by_command["train eval runs/shapes_distill"]
    assert code == 0 and "note: AP is not measured" in said
    assert by_command["train resume runs/shapes_distill"][0] == 0


def test_flags_say_what_they_need(ended):
    code, said = ended[1]["train fit shapes --batch 3"]
    assert code == 2 and said.splitlines()[-1] == "error: flags need tyro: pip install tyro, or leave them out"


def test_benchmarks_are_listed(ended):
    code, said = ended[1]["analysis list"]
    assert code == 0 and "bench" in said


def test_the_tests_of_a_gpu_start_without_the_tools_of_the_others():
    """Those that need no more than torch and pytest; the ones of matching on a device run here to their end."""
    words = ["-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib", "-m", "cuda", "tests/gpu"]
    without = (*ABSENT, "hypothesis", "beartype", "xdist", "onnxruntime")
    plain = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # plugins of what is absent are installed here
    chosen = ("-k", "waits or has_the_same_total or graph or ends_equal or torchrun")
    with blocked.start(["pytest", *words, "--device", "cpu", *chosen], cwd=ROOT, without=without, **plain) as process:
        said = process.communicate(timeout=500)[0]
    assert process.returncode == 0, said[-3000:]
    assert "10 passed" in said and "failed" not in said


def test_without_a_gpu_its_tests_are_skipped_with_a_sentence():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    words = ["make", "test-gpu", f"PY={sys.executable} -B"]
    done = subprocess.run(words, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "passed" not in done.stdout and "no CUDA device here; --device cpu runs what a CPU can" in done.stdout
