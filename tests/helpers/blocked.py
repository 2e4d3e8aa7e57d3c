"""Programs of the project in a process in which some packages cannot be imported, as if they were not installed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

RUN = """
import functools, json, runpy, sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_others(name, path=None, target=None):
    return None if name.split(".")[0] in {names} else find(name, path, target)
PathFinder.find_spec = functools.partial(find_others)  # which a class that keeps it doesn't bind
for words in json.loads(sys.argv[1]):
    sys.argv, code = words, 0
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
    print("\\nended with", code, flush=True)
sys.exit(code)
"""


def start(*commands: Sequence[str], cwd: Path, without: Iterable[str], **more: str) -> subprocess.Popen:
    """Starts `python -m WORDS` of each command under QUICK=1, one after the other in one process, without the packages."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN.format(names=sorted(without)), json.dumps(commands)],
        cwd=cwd,
        env=os.environ | {"QUICK": "1", "OMP_NUM_THREADS": "1"} | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ends(said: str) -> list[tuple[int, str]]:
    """The exit code of each command that has ended, and what it said."""
    said, codes = re.split(r"\nended with (\d+)\n", said)[:-1:2], re.findall(r"\nended with (\d+)\n", said)
    return [(int(code), text) for code, text in zip(codes, said, strict=True)]
