"""Failures of the machine while a run is trained, told in one sentence with the command that goes on."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from core.data.loader import KILLED
from core.files import scratch_of
from train.errors import Failed

OUT_OF_MEMORY = (
    "the GPU's memory ran out; start the run again with twice the --optim.passes, which changes no result, with smaller"
    " --data.augment.sizes, or with --amp bf16"
)


@contextmanager
def explain_failures(path: Path) -> Iterator[None]:
    """Turns a full disk or GPU, a run's folder that is gone or cannot be written, or a killed loading process, into Failed.

    Its sentence holds the command that resumes the run. What was saved before stays whole.
    """
    hint = f"go on with: python -m train resume {path}"
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Failed(f"no space left for {path}; make room and {hint}") from error
        of_writing = error.errno == errno.EIO and not error.filename  # a device fails after a file was opened
        if not of_writing and not is_about(error, path):
            raise
        if error.errno in (errno.ENOENT, errno.ESTALE, errno.ENOTDIR):
            raise Failed(f"{error.filename} is gone, so {path} cannot go on; start the run again") from error
        raise Failed(f"{path} cannot be written ({error.strerror}); make it writable and {hint}") from error
    except torch.OutOfMemoryError as error:
        raise Failed(f"{path}: {OUT_OF_MEMORY}") from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise Failed(f"{KILLED}; {hint}") from error


def is_about(error: OSError, path: Path) -> bool:
    """Returns whether an error is one of the folder `path`, of a file in it, or of a folder around it."""
    if not error.filename:
        return False
    file, path = Path(os.fsdecode(error.filename)).absolute(), path.absolute()
    return path.is_relative_to(file) or any(file.is_relative_to(x) for x in (path, scratch_of(path)))
