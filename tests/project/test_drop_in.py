"""Adding a loss is one file: dropped into a copy of the project, it is there for flags, contract, log and app."""

import json
import os
import re
import shutil
import subprocess
import sys

from core.project import ROOT

LOSS = '''"""Means: each channel is to be as strong as the teacher's, all over the image."""

from dataclasses import dataclass

from core.losses._imitation import Imitation, mean_of_places
from core.losses.base import Loss, require_teacher
from core.types import Outcome


@dataclass(frozen=True)
class Config:
    weight: float = 0.0
    power: float = 2.0


class Model(Loss):
    def __init__(self, config: Config, student, teacher):
        super().__init__()
        require_teacher("means", teacher)
        self.power, self.imitation = config.power, Imitation(student, teacher, source="neck")
        self.weights = dict.fromkeys(self.imitation.names, 0.5)

    def forward(self, student, teacher, targets, pairs):
        levels = self.imitation(student.memory, teacher.memory)
        gaps = [mean_of_places(x.teacher, x.valid) - mean_of_places(x.student, x.valid) for x in levels]
        return Outcome({name: x[None].abs() ** self.power / len(x) for name, x in zip(self.weights, gaps)})
'''

# What a developer does next, in one process.
DRIVER = """
import json
from pathlib import Path
import pytest

tested = pytest.main(["-q", "-p", "no:cacheprovider", "tests/core/losses/test_losses.py", "-k", "means"])

from core import losses
from tests.helpers import opened
from train.__main__ import main

words = "fit shapes_distill --losses.means.weight 3 --losses.means.power 1.5 --name tried --threads 1".split()
words += "--losses.logits.weight 0 --losses.features.weight 0 --losses.prior.weight 0".split()
trained = main(words)
seen = opened.handlers(Path("runs/tried")).losses("image/1")
json.dump({"listed": losses.names(), "tested": tested, "trained": trained, "seen": seen}, open("found.json", "w"))
"""


def test_a_file_in_the_folder_is_listed_built_tested_logged_and_seen(tmp_path):
    for folder in ("core", "train", "app", "analysis", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "golden"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    (tmp_path / "core" / "losses" / "means.py").write_text(LOSS)
    environment = os.environ | {"QUICK": "1", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", DRIVER]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert "means" in found["listed"] and found["tested"] == found["trained"] == 0
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 10, "the contract's tests took it up by themselves"

    steps = [json.loads(line) for line in (tmp_path / "runs/tried/metrics.jsonl").read_text().splitlines()]
    terms = [(s["terms"], s["weighted"]) for s in steps if "terms" in s]
    assert terms and all(weighed["means/stride8"] == 1.5 * plain["means/stride8"] > 0 for plain, weighed in terms)

    panel = {x["name"]: x for x in found["seen"]["losses"]}
    assert panel.keys() == {"detection", "means"}
    assert panel["means"]["says"].startswith("Means: each channel is to be as strong")
    assert [t["id"] for t in panel["means"]["terms"]] == [f"means/stride{s}" for s in (4, 8, 16)]
    assert all(t["weight"] == 1.5 and t["sum"] > 0 for t in panel["means"]["terms"])
