"""A wheel, installed into an empty folder, does what the checkout does; `detrdistill` is the one command for all of it."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from core.project import ROOT, command

PARTS = ("core", "train", "analysis", "app", "detrdistill", "assets")
SCRIPT = "import sys; from detrdistill.__main__ import main; sys.exit(main())"  # of the console
ROW = """
from detrdistill.__main__ import prefer_our_packages
prefer_our_packages()
from train.recipes.on_shapes import shapes_distill
from train.run import quick
from train.studies._grid import run_rows
run_rows({"a row of a study": quick(shapes_distill.run())}, at_once=1)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the project's wheel was unpacked; nothing of the checkout is in it."""
    source, built, site = (tmp_path_factory.mktemp(name) for name in ("source", "built", "site"))
    for part in PARTS:
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(built), "."]
    done = subprocess.run(pip, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = built.glob("detrdistill-*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    return site


@pytest.fixture
def folder(tmp_path):
    """A user's folder that holds modules of the names of ours."""
    for name in ("train", "core", "app", "analysis"):
        (tmp_path / f"{name}.py").write_text(f'raise SystemExit("the {name}.py of the user was run")\n')
    return tmp_path


def run(site, folder, *words, script: str = SCRIPT, **environment) -> subprocess.CompletedProcess:
    """As the console script does: it imports detrdistill from where it is installed."""
    # The script's own folder comes first, as with a console script, and then the user's: worse than what happens.
    paths = os.pathsep.join([str(folder), str(site)])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | environment
    words = [sys.executable, "-c", script, *words]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_the_script_is_named_in_the_wheel(installed):
    (entry,) = installed.glob("detrdistill-*.dist-info/entry_points.txt")
    assert "detrdistill = detrdistill.__main__:main" in entry.read_text()
    assert not (installed / "tests").exists()


def test_it_trains_in_a_folder_that_holds_a_train_py(installed, folder):
    done = run(installed, folder, "train", "fit", "shapes", QUICK="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done: runs/shapes" in done.stdout and (folder / "runs/shapes/student.safetensors").exists()
    card = json.loads((folder / "runs/shapes/card.json").read_text())
    assert card["run"]["init"].startswith("assets/backbones/")


def test_programs_that_it_starts_are_its_own(installed, folder):
    """The rows of a study and the app's jobs are processes of their own; what they read is in the wheel."""
    done = run(installed, folder, script=ROW)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = (folder / "runs/rows").glob("*/student.safetensors")
    said = row.parent.with_suffix(".log").read_text()
    assert str(row.parent.relative_to(folder)) in said and "the user was run" not in said
    for results in (ROOT / "assets" / "results").glob("*.json"):
        assert (installed / "assets" / "results" / results.name).exists()


def test_it_makes_figures_and_lists(installed, folder):
    done = run(installed, folder, "analysis", "figure5")
    assert done.returncode == 0 and (folder / "figures/figure5.pdf").exists(), done.stdout + done.stderr
    assert "Start here" in run(installed, folder, "train", "list").stdout


def test_mistakes_are_one_sentence(installed, folder):
    done = run(installed, folder, "trane", "fit")
    assert done.returncode == 2 and done.stderr == "error: no program 'trane'; there are train, app, analysis\n"
    done = run(installed, folder)
    assert done.returncode == 0 and "detrdistill train" in done.stdout
    assert run(installed, folder, "train", "fit", "shpes").returncode == 2
    assert "usage" in run(installed, folder, "app", "--help").stdout


def test_a_program_is_started_by_its_folder_not_by_a_name(folder):
    words = command("train", "list")
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and "Start here" in done.stdout, done.stderr
