"""Probes that are commands of the trainer: what is typed, and which sentence answers."""

import contextlib
import io
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

from core.errors import UserError
from tests.helpers import runs
from train.cli.flags import flags
from train.cli.main import main
from train.engine import loop

Prepare = Callable[[Path], object]


@cache
def trained() -> Path:
    """A run of one epoch, which no probe changes."""
    folder = Path(tempfile.mkdtemp()) / "trained"
    few = replace(runs.DATA, train_limit=4, val_limit=2)
    with contextlib.redirect_stdout(io.StringIO()):
        return loop.fit(runs.small(data=few, optim=replace(runs.OPTIM, epochs=1)), folder)


def copied(folder: Path) -> Path:
    """A copy of that run as `run` in a folder."""
    return Path(shutil.copytree(trained(), folder / "run"))


def answered(*words: str, program: Callable[[list[str]], int] = main) -> tuple[int, str, str]:
    """The exit code of a command, and what it prints to the output and to the error output."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), no_processes():
        try:
            code = program(list(words))
        except SystemExit as end:
            code = int(end.code or 0)
    return code, out.getvalue(), err.getvalue()


def no_processes() -> contextlib.AbstractContextManager:
    """While open, a process that would be started is an error: a limit that is missing must not fill the machine."""
    return mock.patch.object(BaseProcess, "start", side_effect=AssertionError("a process was started"))


def parsed(options: Any, *words: str, says: str) -> Callable[[Path], None]:
    """A probe: the parser of a command, with these default options, refuses the flags; nothing is run."""

    def probe(folder: Path) -> None:
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            try:
                flags(options, list(words), "")
            except (UserError, SystemExit) as error:
                assert says in f"{error} {err.getvalue()}", error
            else:
                raise AssertionError("it was taken")

    return probe


def check_answer(code: int, out: str, err: str, *, wanted: int, says: str) -> None:
    """Checks the exit code, that the sentence says what is wrong, and that nothing printed could move the cursor."""
    text = " ".join((out + err).split())
    assert code == wanted, f"exit code {code}: {text[-300:]}"
    assert says in text, f"{says!r} is not in {text[-300:]!r}"
    assert all(c.isprintable() or c in "\n\t" for c in out + err), f"a control character in {text!a}"
    if err.startswith("error: "):
        assert err.count("\n") == 1, f"more than one line: {err!r}"


def files_of(folder: Path) -> dict[str, bytes]:
    """The files in a folder and their contents."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def command(*words: str, says: str = "", code: int = 2, prepare: Prepare | None = None) -> Callable[[Path], None]:
    """A probe: a command in a folder, which `prepare` fills, ends with this code and sentence; 2 leaves the folder as it is.

    RUN stands for a trained run.
    """

    def probe(folder: Path) -> None:
        if prepare:
            prepare(folder)
        before = files_of(folder)
        with contextlib.chdir(folder):
            check_answer(*answered(*(w.replace("RUN", str(trained())) for w in words)), wanted=code, says=says)
        if code == 2:
            assert files_of(folder) == before, "files have changed"

    return probe


def spoilt(file: str, change: Callable[[bytes], bytes]) -> Prepare:
    """Copies the trained run, and changes one of its files."""

    def prepare(folder: Path) -> None:
        path = copied(folder) / file
        path.write_bytes(change(path.read_bytes()))

    return prepare
