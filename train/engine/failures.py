"""Failures of the machine while it works, told in one sentence with the command that goes on."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from core.data.loader import KILLED, WorkerDied
from core.files import scratch_of
from train.errors import FailedHere

LESS_OF_A_RUN = (
    "start the run again with twice the --optim.passes, which changes no result, with smaller --data.augment.sizes, or"
    " with --amp bf16"
)
SMALLER_BATCH = "repeat the command with a smaller --batch"


@contextmanager
def explain_failures(path: Path) -> Iterator[None]:
    """Turns a full disk or GPU, a run's folder that is gone or cannot be written, or a killed loading process, into FailedHere.

    Its sentence holds the command that goes on with the run. What was saved before stays whole.
    """
    try:
        with explain_lack_of_memory(path, LESS_OF_A_RUN):
            yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FailedHere(f"no space left for {path}; make room and {hint(path)}") from error
        of_writing = error.errno == errno.EIO and not error.filename  # a device fails after a file was opened
        if not of_writing and not is_about(error, path):
            raise
        if error.errno in (errno.ENOENT, errno.ESTALE, errno.ENOTDIR):
            raise FailedHere(f"{error.filename} is gone, so {path} cannot go on; start the run again") from error
        raise FailedHere(f"{path} cannot be written ({error.strerror}); make it writable and {hint(path)}") from error


@contextmanager
def explain_lack_of_memory(path: Path, less: str) -> Iterator[None]:
    """Turns a GPU's memory that ran out, or a killed loading process, into FailedHere.

    `path` is what the work writes, and `less` says how it takes less of a GPU's memory.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise FailedHere(f"{path}: the GPU's memory ran out; {less}") from error
    except RuntimeError as error:
        if not isinstance(error, WorkerDied) and "DataLoader worker" not in str(error):
            raise
        raise FailedHere(f"{KILLED}; {hint(path)}") from error


def hint(path: Path) -> str:
    """How the work that writes `path` goes on: a run that has begun is resumed, all else is repeated."""
    return f"go on with: python -m train resume {path}" if os.path.exists(path / "card.json") else "repeat the command"


def is_about(error: OSError, path: Path) -> bool:
    """Returns whether an error is one of the folder `path`, of a file in it, or of a folder around it."""
    if not error.filename:
        return False
    file, path = Path(os.fsdecode(error.filename)).absolute(), path.absolute()
    return path.is_relative_to(file) or any(file.is_relative_to(x) for x in (path, scratch_of(path)))
