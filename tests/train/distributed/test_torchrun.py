"""The command itself under torchrun: a process is killed, torchrun starts all again, and the weights are the same."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from core.files import write_json
from core.project import ROOT
from core.runs.config import encode
from tests.helpers import processes, runs
from train.engine import loop
from train.run_folder import state

KILLED = """
import os, signal, sys
from train.engine import loop
from train.__main__ import main

real = loop.Training.next_passes
def next_passes(training):
    first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
    if first and training.progress.step == 5 and training.ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(training)
loop.Training.next_passes = next_passes
sys.exit(main(["fit", "--card", "card.json"]))
"""


def fit(run, path: Path):
    return loop.fit(run, path)


def test_one_process_is_killed_and_torchrun_starts_both_again(tmp_path):
    run = runs.small()
    (tmp_path / "killed.py").write_text(KILLED)
    write_json(tmp_path / "card.json", {"run": encode(run)})
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=3"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*torchrun, "killed.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert "torchrun has restarted runs/small: it goes on from its last checkpoint" in done.stdout
    assert done.stdout.count("done: runs/small") == 1, "the first process alone speaks"
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["small"]
    assert processes.start(fit, run, tmp_path / "unbroken", into=tmp_path / "said") == [str(tmp_path / "unbroken")] * 2
    mine, theirs = (load_file(state.path(path)) for path in (tmp_path / "runs" / "small", tmp_path / "unbroken"))
    assert mine.keys() == theirs.keys() and all(torch.equal(x, theirs[name]) for name, x in mine.items())
    logs = [(path / "metrics.jsonl").read_bytes() for path in (tmp_path / "runs" / "small", tmp_path / "unbroken")]
    assert logs[0] == logs[1]
