"""Paths of the project's own files, and the command line with which one of its programs starts another."""

import sys
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[1]  # the checkout, or site-packages where the project is installed
ASSETS = ROOT / "assets"  # the files that the project ships


def command(program: Literal["train", "app", "analysis"], *words: str) -> list[str]:
    """The command line that runs a program with these words in a process of its own.

    It names the folder of the package `detrdistill` rather than `-m train`, which would run the train.py of a user who
    has one in the current folder.
    """
    return [sys.executable, str(ROOT / "detrdistill"), program, *words]
