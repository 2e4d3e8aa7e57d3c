"""Programs of the project in a process in which some packages cannot be imported, as if they were not installed."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

RUN = """
import functools, runpy, sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_others(name, path=None, target=None):
    return None if name.split(".")[0] in {names} else find(name, path, target)
PathFinder.find_spec = functools.partial(find_others)  # which a class that keeps it doesn't bind
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def start(*words: str, cwd: Path, without: Iterable[str], **more: str) -> subprocess.Popen:
    """Starts `python -m WORDS` under QUICK=1, without the packages."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN.format(names=sorted(without)), *words],
        cwd=cwd,
        env=os.environ | {"QUICK": "1", "OMP_NUM_THREADS": "1"} | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
