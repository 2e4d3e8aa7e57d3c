"""The Python of docs/predict.md runs as it is printed."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from core.project import ROOT
from tests.helpers.coco_folder import write_folder

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/predict.md").read_text(), re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    """A run, a photo, and a small data set in one of the known layouts."""
    shutil.copytree(ROOT / "assets/runs/shapes_distill", tmp_path / "runs/coco_distill")
    Image.effect_noise((90, 60), 80).convert("RGB").save(tmp_path / "photo.jpg")
    path = write_folder(tmp_path / "my")
    shutil.copy(path, tmp_path / "my/train.json")
    path.rename(tmp_path / "my/val.json")
    return tmp_path


def test_the_page_runs(folder):
    assert len(BLOCKS) == 2
    code = "".join(BLOCKS).replace('model.predict("photo.jpg")', 'model.predict("photo.jpg", score=0.01)')
    environment = os.environ | {"PYTHONPATH": str(ROOT), "QUICK": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code + "print(student)"], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"\w+ 0\.\d+ \(.*, .*, .*, .*\)", lines[0]), lines[0]
    assert lines[-1] == "<adamixer of runs/coco with 3 classes>"
