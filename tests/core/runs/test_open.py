"""The app and training agree bit for bit: a step that training logged, replayed by another process on the app's path."""

import json
import os
import subprocess
import sys

REPLAY = """
import sys
from pathlib import Path
from core.runs.open import open_run, replay
run = open_run(Path(sys.argv[1]))
sample = next(s for s in (run.data[k] for k in range(len(run.data))) if s.id == int(sys.argv[2]))
print(float(replay(run, sample).total).hex())
"""


def python(*words, cwd):
    environment = os.environ | {"QUICK": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_app_replays_the_total_that_training_logged(tmp_path):
    python(
        "-m", "train", "fit", "shapes_distill", "--threads", "1", "--data.seed", "5", "--name", "taught", cwd=tmp_path
    )
    run = tmp_path / "runs" / "taught"
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    witness = [r for r in records if "witness" in r][-1]
    assert set(json.loads((run / "card.json").read_text())["run"]["losses"]) >= {"logits", "features", "prior"}
    replayed = python("-c", REPLAY, str(run), str(witness["witness"]), cwd=tmp_path)
    assert replayed.strip() == witness["total"].hex()
