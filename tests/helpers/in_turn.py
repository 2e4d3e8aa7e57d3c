"""Programs of the project one after the other in one process, which imports torch once."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

RUN = """
import json, runpy, sys
for words in json.loads(sys.argv[1]):
    sys.argv, code = words, 0
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
    print("\\nended with", code, flush=True)
sys.exit(code)
"""


def start(*commands: Sequence[str], cwd: Path, before: str = "", **environment: str) -> subprocess.Popen:
    """Starts a process that runs `python -m WORDS` of each command, after the code `before`."""
    return subprocess.Popen(
        [sys.executable, "-c", before + RUN, json.dumps(commands)],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ends(said: str) -> list[tuple[int, str]]:
    """The exit code of each command that has ended, and what it said."""
    return [(int(code), text) for text, code in re.findall(r"(.*?)\nended with (\d+)\n", said, re.DOTALL)]
