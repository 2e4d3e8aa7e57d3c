"""Programs of the project in a process in which some packages cannot be imported, as if they were not installed."""

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.helpers import in_turn

BLOCK = """
import functools
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_others(name, path=None, target=None):
    return None if name.split(".")[0] in {names} else find(name, path, target)
PathFinder.find_spec = functools.partial(find_others)  # which a class that keeps it doesn't bind
"""


def start(*commands: Sequence[str], cwd: Path, without: Iterable[str], **more: str) -> subprocess.Popen:
    """Starts `python -m WORDS` of each command under QUICK=1, one after the other in one process, without the packages."""
    block = BLOCK.format(names=sorted(without))
    return in_turn.start(*commands, cwd=cwd, before=block, QUICK="1", **more)
