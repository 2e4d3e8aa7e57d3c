"""`make` finds a Python that is new enough, or says in a sentence what is needed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from core.project import ROOT

MAKE = shutil.which("make")


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile and an empty folder of programs."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bin").mkdir()
    for tool in ("test", "touch", "echo", "rm"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    return tmp_path


def python(checkout: Path, name: str, version: tuple[int, int]) -> None:
    """A program that answers the Makefile's question as a Python of this version would."""
    script = f"#!/bin/sh\n[ {version[0] * 100 + version[1]} -ge 311 ]\n"
    (checkout / "bin" / name).write_text(script)
    (checkout / "bin" / name).chmod(0o755)


def made(checkout: Path, *words: str) -> subprocess.CompletedProcess:
    """Runs `make env` as from a terminal: without what a make around these tests hands to another one."""
    around = ("PYTHON", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
    environment = {key: value for key, value in os.environ.items() if key not in around}
    environment["PATH"] = str(checkout / "bin")
    return subprocess.run([MAKE, *words, "env"], cwd=checkout, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    "there, taken",
    [
        ({"python3": (3, 12)}, "python3"),
        ({"python3": (3, 13), "python": (2, 7)}, "python3"),
        ({"python3": (3, 9), "python3.12": (3, 12)}, "python3.12"),
        ({"python3": (3, 10), "python3.11": (3, 11), "python3.13": (3, 13)}, "python3.11"),
        ({"python": (3, 14)}, "python"),
    ],
)
def test_the_environment_is_made_with_a_python_that_is_new_enough(checkout, there, taken):
    for name, version in there.items():
        python(checkout, name, version)
    done = made(checkout, "-n")
    assert done.returncode == 0 and f"{taken} -m venv .venv" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("there", [{}, {"python3": (3, 10), "python": (3, 8)}])
def test_without_one_it_says_what_is_needed(checkout, there):
    for name, version in there.items():
        python(checkout, name, version)
    done = made(checkout)
    assert done.returncode == 2 and not (checkout / ".venv").exists()
    assert done.stdout.count("\n") == 1 and "This needs Python 3.11 or newer" in done.stdout
    assert "make env PYTHON=/path/to/python" in done.stdout


def test_another_can_be_named(checkout):
    done = made(checkout, "-n", "PYTHON=/opt/python")
    assert "/opt/python -m venv .venv" in done.stdout
