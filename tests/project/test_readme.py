"""Every command of the README but `make test` runs, the long ones in their short form."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from core.project import ROOT
from tests.helpers.coco_folder import write_folder

BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder but for a small data set under the README's name."""
    path = tmp_path_factory.mktemp("user")
    instances = write_folder(path / "my")
    for name in ("train.json", "val.json"):
        shutil.copy(instances, path / "my" / name)
    return path


def test_the_readme_has_the_commands_that_it_promises():
    assert COMMANDS[:2] == ["make demo", "make test"]
    assert [c.split()[2] for c in COMMANDS[2:6]] == ["train", "train", "train", "app"] and len(COMMANDS) >= 6


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "make test"])
def test_a_command_of_the_readme_runs(command, folder):
    environment = os.environ | {"QUICK": "1", "SERVE": "0", "OMP_NUM_THREADS": "1"}
    words = command.split()
    if words[0] == "make":  # the environment is there already: it runs this test
        shutil.copy(ROOT / "Makefile", folder)
        words = ["make", "-o", "env", f"PY={sys.executable}", *words[1:]]
    else:
        words[0] = sys.executable
    if "app" in words:
        return serves(words, folder, environment)
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    if words[0] == "make":
        assert (folder / "runs/demo/summary.json").exists()
        assert "student distilled" in done.stdout


def serves(words, folder, environment):
    """Starts, says where, and stops."""
    words = [*words, "--port", "0"]
    with subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            said = next(line for line in server.stdout if "127.0.0.1" in line)
        finally:
            server.terminate()
    assert re.search(r"http://127\.0\.0\.1:\d+", said)
