"""Probes of `check`: annotation files that strangers wrote."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.helpers.hostile import changed
from tests.probes.commands import command

ESC = "\x1b[2J"
SOUND: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], "area": 16, "iscrowd": 0}],
    "categories": [{"id": 1, "name": "cat"}],
}


def written(content: bytes, name: str = "a.json") -> Callable[[Path], None]:
    """Writes the annotation file, and the folder of its image."""

    def prepare(folder: Path) -> None:
        (folder / "images").mkdir()
        Image.new("RGB", (8, 8)).save(folder / "images" / "a.png")
        (folder / name).write_bytes(content)

    return prepare


def with_value(*path: Any, value: Any) -> bytes:
    """A sound file with another value at a path."""
    return json.dumps(changed(SOUND, path, value)).encode()


def checked(content: bytes, code: int, says: str, name: str = "a.json") -> Callable[[Path], None]:
    """A probe: `check` of a file with this content ends with this code and sentence."""
    return command("check", name, code=code, says=says, prepare=written(content, name))


PROBES = {
    "no JSON": checked(b"{", 2, "a.json"),
    "a deep file": checked(b"[" * 200_000, 2, "a.json"),
    "bad bytes": checked(b"\xff\xfe\x00", 2, "a.json"),
    "an empty file": checked(b"", 2, "a.json"),
    "half a gzip": checked(gzip.compress(json.dumps(SOUND).encode())[:40], 2, "a.json.gz", "a.json.gz"),
    "a list": checked(b"[1]", 2, "a.json"),
    "a class name with ESC": checked(with_value("categories", 0, "name", value=f"a{ESC}"), 0, "\\x1b[2J"),
    "a class name with a line break": checked(with_value("categories", 0, "name", value="a\nsound: yes"), 0, "a\\nsound: yes"),
    "a class name from right to left": checked(with_value("categories", 0, "name", value="a\u202eb"), 0, "\\u202e"),
    "a file name with ESC": checked(with_value("images", 0, "file_name", value=f"{ESC}.png"), 1, "\\x1b[2J"),
    "a file name out of the folder": checked(with_value("images", 0, "file_name", value="../../etc/passwd"), 1, "path"),
    "an absolute file name": checked(with_value("images", 0, "file_name", value="/etc/passwd"), 1, "path"),
    "a file name with NUL": checked(with_value("images", 0, "file_name", value="a\0.png"), 1, "a.json"),
    "a file name of 5000 characters": checked(with_value("images", 0, "file_name", value="x" * 5000), 1, "a.json"),
    "a box of NaN": checked(with_value("annotations", 0, "bbox", value=[float("nan"), 0, 1, 1]), 1, "box"),
    "a box of 400 digits": checked(with_value("annotations", 0, "bbox", value=[10**400, 0, 1, 1]), 1, "box"),
    "an id of 400 digits": checked(with_value("annotations", 0, "id", value=10**400), 0, "is read as 1"),
    "a width of 400 digits": checked(with_value("images", 0, "width", value=10**400), 1, "a.json"),
    "an annotation that is a text": checked(with_value("annotations", 0, value="x"), 1, "record"),
    "a class that is nothing": checked(with_value("categories", 0, value=None), 1, "record"),
}  # fmt: skip
