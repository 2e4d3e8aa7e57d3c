"""Finds the images to predict: files, a folder, a COCO file that lists them, a video, or what comes from the standard input."""

import os
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from core.data.category import Category
from core.data.unlabelled.image_files import ImageFiles
from core.data.unlabelled.predicted import Predicted, read_predicted
from core.data.unlabelled.video import VideoFrames, is_video
from core.errors import UserError
from train.distributed.parallel import ranks

Source = ImageFiles | Predicted | VideoFrames
STDIN = "-"
MOST_NAMES = 1 << 20  # characters of the longest text that is taken for a list of names


def open_source(words: Sequence[str], categories: tuple[Category, ...], scratch: Path) -> Source:
    """The images that the words name, in one dataset; an image from the standard input is written to `scratch`.

    UserError: there is none of that name, or the words cannot be taken together.
    """
    if list(words) == [STDIN]:
        return from_stdin(categories, scratch)
    paths = [Path(word) for word in words]
    if missing := [path for path in paths if not path.exists()]:
        raise UserError(f"{missing[0]}: no such file or folder; name images, a folder, a video, or - for the input")
    if len(paths) == 1:
        return open_one(paths[0], categories)
    if other := [path for path in paths if path.is_dir() or is_video(path) or path.suffix == ".json"]:
        raise UserError(f"{other[0]} is no image; give it alone, or images only")
    return image_files(paths, categories)


def open_one(path: Path, categories: tuple[Category, ...]) -> Source:
    """The images of a folder, of a COCO file or of a video; or one image."""
    if path.is_dir():
        return ImageFiles(path, categories)
    if path.suffix == ".json":
        return read_predicted(path, categories)
    return VideoFrames(path, categories) if is_video(path) else image_files([path], categories)


def image_files(paths: Sequence[Path], categories: tuple[Category, ...]) -> ImageFiles:
    """Files of images, named from the folder that holds all of them."""
    whole = [path.absolute() for path in paths]
    folder = Path(os.path.commonpath([path.parent for path in whole]))
    return ImageFiles(folder, categories, names={path.relative_to(folder).as_posix() for path in whole})


def from_stdin(categories: tuple[Category, ...], scratch: Path) -> Source:
    """The image that comes from the standard input, or the images whose names do, one a line. UserError: nothing comes."""
    if ranks().size > 1:
        raise UserError("several processes cannot share the standard input; name the images, or start one process")
    data = sys.stdin.buffer.read()
    if not data.strip():
        raise UserError("nothing comes from the standard input; send it an image, or names of images, one a line")
    try:
        text = data.decode() if len(data) <= MOST_NAMES else ""
    except UnicodeDecodeError:
        text = ""
    if text and "\0" not in text:
        return open_source(text.splitlines(), categories, scratch)
    name = f"{sha256(data).hexdigest()[:16]}.png"
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / name).write_bytes(data)
    return ImageFiles(scratch, categories, names=[name])


def state_of(source: Source) -> list:
    """A value that changes when the images do: each file's name, size and time of change."""
    if isinstance(source, VideoFrames):
        return [str(source.path.absolute()), *file_state(source.path)]
    files = [[id, name, *file_state(source.folder / name)] for id, name in zip(source.ids, source.names)]
    return [str(source.folder.absolute()), files]


def file_state(path: Path) -> list[int]:
    """The size of a file and the time of its last change; [] if it is gone."""
    try:
        state = path.stat()
    except OSError:
        return []
    return [state.st_size, state.st_mtime_ns]
