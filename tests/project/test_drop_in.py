"""docs/extending.md as a test: its files, dropped into a copy of the project, are there for everything that is promised."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from core.project import ROOT

BLOCKS = dict(re.findall(r'```python title="(.+?)"\n(.*?)```', (ROOT / "docs" / "extending.md").read_text(), re.DOTALL))
LOSS, DETECTOR = "core/losses/channel_means.py", "core/detectors/plain.py"

# What a developer does next, in one process.
DRIVER = r"""
import contextlib, io, json, re, sys
from pathlib import Path
import pytest


def tested(files, words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = pytest.main(["-v", "-p", "no:cacheprovider", *files, "-k", " or ".join(words)])
    print(out.getvalue())
    return {"code": int(code)} | {word: len(re.findall(rf"\[[^]]*\b{word}\b.*PASSED", out.getvalue())) for word in words}


def printed(main, words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(words)
    return {"code": code, "said": out.getvalue()}


files = ["tests/core/losses/test_losses.py", "tests/core/detectors/test_detectors.py"]
report = {"tests": tested(files, ["channel_means", "plain"])}

from analysis.__main__ import main as analysis
from core import detectors, losses
from tests.helpers import opened
from train.__main__ import main as train

words = "fit shapes_distill --losses.channel_means.weight 3 --losses.channel_means.power 1.5 --name tried --threads 1"
words += " --losses.logits.weight 0 --losses.features.weight 0 --losses.prior.weight 0"
distil = "--losses.logits.weight 1 --losses.features.weight 1 --losses.prior.weight 1"
report |= {
    "losses": losses.names(),
    "detectors": detectors.names(),
    "list": printed(train, ["list"]),
    "figures": printed(analysis, ["list"]),
    "tried": train(words.split()),
    "panel": opened.handlers(Path("runs/tried")).losses("image/1"),
    "plain": train("fit plain --threads 1".split()),
    "distilled": train(f"fit plain --name plain_distilled --teacher runs/plain --threads 1 {distil}".split()),
    "across": train("fit plain --name across --teacher assets/teacher_shapes.safetensors --threads 1"
                    " --losses.logits.weight 1 --losses.features.weight 1".split()),
    "eval": printed(train, ["eval", "runs/plain_distilled"]),
    "doctor": printed(train, ["doctor", "runs/plain_distilled", "--limit", "2"]),
    "export": train("export runs/plain_distilled --out student".split()),
    "figure": printed(analysis, ["best_epoch", "runs/plain", "--out", "figures"]),
}
page = opened.handlers(Path("runs/plain_distilled"))
report["about"] = page.about()
report["scene"] = page.scene("image/1")
report["reading"] = page.reading("image/1", 0, "student", 0)
json.dump(report, open("report.json", "w"))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project in which the page's files were dropped and a developer has tried them."""
    path = tmp_path_factory.mktemp("project")
    for folder in ("core", "train", "app", "analysis", "tests", "detrdistill"):
        shutil.copytree(ROOT / folder, path / folder, ignore=shutil.ignore_patterns("__pycache__", "golden"))
    shutil.copy(ROOT / "pyproject.toml", path)
    (path / "assets").symlink_to(ROOT / "assets")
    for name, text in BLOCKS.items():
        assert not (ROOT / name).exists(), f"{name} is an example, and not a file of the project"
        (path / name).write_text(text)
    environment = os.environ | {"QUICK": "1", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", DRIVER]
    done = subprocess.run(words, cwd=path, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return path


@pytest.fixture(scope="module")
def report(project):
    return json.loads((project / "report.json").read_text())


def test_the_page_has_a_loss_a_detector_a_recipe_and_a_figure():
    assert list(BLOCKS) == [LOSS, DETECTOR, "train/recipes/plain.py", "analysis/figures/best_epoch.py"]
    assert len(BLOCKS[DETECTOR].splitlines()) <= 110


def test_a_loss_is_listed_tested_trained_and_logged(project, report):
    assert "channel_means" in report["losses"] and report["tests"]["code"] == report["tried"] == 0
    assert report["tests"]["channel_means"] >= 10, "the contract's tests took it up by themselves"
    steps = [json.loads(line) for line in (project / "runs/tried/metrics.jsonl").read_text().splitlines()]
    terms = [(s["terms"], s["weighted"]) for s in steps if "terms" in s]
    name = "channel_means/stride8"
    assert terms and all(weighed[name] == 1.5 * plain[name] > 0 for plain, weighed in terms)


def test_a_loss_is_seen_in_the_app(report):
    panel = {x["name"]: x for x in report["panel"]["losses"]}
    assert panel.keys() == {"detection", "channel_means"}
    assert panel["channel_means"]["says"].startswith("Channel means: the mean of each feature channel")
    assert [t["id"] for t in panel["channel_means"]["terms"]] == [f"channel_means/stride{s}" for s in (4, 8, 16)]
    assert all(t["weight"] == 1.5 and t["sum"] > 0 for t in panel["channel_means"]["terms"])


def test_a_detector_is_listed_tested_trained_distilled_and_exported(report):
    assert "plain" in report["detectors"] and report["tests"]["plain"] >= 15
    assert report["plain"] == report["distilled"] == report["across"] == report["export"] == 0
    assert report["eval"]["code"] == 0 and "AP50" in report["eval"]["said"] and "run" in report["doctor"]["said"]


def test_a_detector_opens_in_the_app(report):
    """It names no sampling locations, and the view that draws them says so."""
    assert report["about"]["student"]["kind"] == report["about"]["teacher"]["kind"] == "plain"
    assert {g["id"] for g in report["scene"]["groups"]} >= {"student", "teacher", "prior", "truth"}
    assert report["reading"]["places"] == [] and report["reading"]["says"]


def test_a_recipe_is_listed_with_a_card_as_short_as_one_likes(report):
    lines = report["list"]["said"].splitlines()
    assert lines.index("Yours") < lines.index(
        next(x for x in lines if x.split() == "plain The plain DETR on the generated shapes.".split())
    )


def test_a_figure_is_listed_and_made(project, report):
    assert "The epoch with the best AP of each run." in report["figures"]["said"]
    assert report["figure"]["code"] == 0 and "The epoch with the best AP of 1 runs." in report["figure"]["said"]
    assert (project / "figures/best_epoch.csv").read_text() == "run,epoch\nplain,1\n"
    assert (project / "figures/best_epoch.pdf").read_bytes().startswith(b"%PDF")
