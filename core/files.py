"""Files and folders that are written whole or not at all, and JSON files."""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import UserError


def write_bytes(path: Path, data: bytes, *, within: Path | None = None) -> None:
    """Replaces `path` in one step: a reader, also after a power cut, sees the old file or the new one, never a part.

    Makes the folders that it needs, but not the folder `within`: FileNotFoundError if that has been removed.
    """
    if within is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif path.parent != within:
        path.parent.mkdir(exist_ok=True)
    scratch = scratch_of(path)
    try:
        with open(scratch, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Gives a scratch folder to write in, which becomes `path` at the end and is removed after an error.

    UserError: `path` is a file, or a folder that is not empty.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists; choose another --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, path.name)
    scratch = scratch_of(path)
    try:
        scratch.mkdir()
        yield scratch
        os.replace(scratch, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def scratch_of(path: Path) -> Path:
    """The path at which this process writes what will become `path`: .NAME.PROCESS beside it. UserError: see `beside`."""
    return beside(path, f".{path.name}.{os.getpid()}")


def beside(path: Path, name: str) -> Path:
    """The path of this name beside `path`. UserError: `path` has no name of its own, as `.` and `..`."""
    if path.name in ("", ".."):
        raise UserError(
            f"{path} cannot be written, since it has no name of its own; give the path of a new file or folder"
        )
    return path.with_name(name)


def sweep(folder: Path, name: str = "") -> None:
    """Removes what killed processes have left in a folder while they wrote `name`, or, by default, any file.

    What a process that lives may still be writing stays.
    """
    for path in folder.glob(".*"):
        match = re.fullmatch(r"\.(.+)\.([1-9]\d*)", path.name)
        if match and match[1] == (name or match[1]) and not is_alive(int(match[2])):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Returns whether there is a process of this number on this machine."""
    try:
        os.kill(process, 0)
    except PermissionError:  # it is another user's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def write_json(path: Path, value: Any, *, within: Path | None = None) -> None:
    """Writes a value as indented JSON, in one step as `write_bytes`."""
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode(), within=within)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file. UserError: it is a device or a pipe, of which some never end, such as /dev/zero."""
    path = Path(path)
    if path.is_char_device() or path.is_block_device() or path.is_fifo():
        raise UserError(f"{path} is a device or a pipe, not a file; give another path")
    return path.read_bytes()


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without its mark. UserError names a file that is missing or is no such text."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); change its permissions, or give another") from None


def read_json(path: Path) -> Any:
    """The value in a JSON file; UserError names a file that is missing or is not JSON."""
    try:
        return json.loads(read_bytes(path).decode())
    except UserError:
        raise
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); change its permissions, or give another") from None
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise UserError(f"{path} is not a JSON file ({error}); write it again") from None
