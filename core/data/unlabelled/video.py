"""The dataset VideoFrames: the frames of a video, without labels. Needs the extra `video` (PyAV)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Int, UInt8
from numpy import ndarray
from torch import Tensor

from core.data.category import Category
from core.data.sample import Sample, unlabelled
from core.data.unlabelled.image_files import without_objects
from core.errors import UserError

SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")
MISSING = "a video needs the video extra: pip install 'detrdistill[video]'"


class VideoFrames:
    """The frames of a video, decoded in order; their ids count from 1.

    A frame before the last one that was read starts the decoder anew, so read them in order.
    """

    def __init__(self, path: Path, categories: tuple[Category, ...]):
        """UserError: PyAV is missing, or the file holds no video."""
        self.path, self.folder, self.categories = path, path.parent, categories
        count, (height, width) = measure(path)
        self.ids = tuple(range(1, count + 1))
        self.names = tuple(f"{path.name}/{id:06}.jpg" for id in self.ids)
        self.sizes: Int[ndarray, "i 2"] = np.array([[height, width]] * count).reshape(-1, 2)
        self.frames: Iterator[tuple[int, Tensor]] | None = None  # the decoder, behind the frame `last`
        self.last = -1

    def __len__(self) -> int:
        return len(self.ids)

    def __getstate__(self) -> dict:
        return vars(self) | {"frames": None, "last": -1}  # each worker process has a decoder of its own

    def __getitem__(self, index: int) -> Sample:
        """UserError: the video ends before this frame, or is damaged."""
        if self.frames is None or index <= self.last:
            self.frames = decoded(self.path)
        for number, pixels in self.frames:
            self.last = number
            if number == index:
                return unlabelled(pixels, self.ids[index])
        raise UserError(f"{self.path}: frame {index + 1} cannot be decoded; write the video again")

    def truth(self) -> dict:
        """The frames as a COCO instances dict without annotations."""
        return without_objects(self.ids, self.names, self.sizes, self.categories)


def is_video(path: Path) -> bool:
    """Returns whether a file's name is that of a video."""
    return path.suffix.lower() in SUFFIXES


def opened(path: Path) -> Any:
    """The container of a video (av.container.InputContainer). UserError: PyAV is missing, or the file holds no video."""
    try:
        import av
    except ImportError:
        raise UserError(f"{path}: {MISSING}") from None
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"{path} cannot be read as a video ({error}); write it again") from None
    if not container.streams.video:
        raise UserError(f"{path} holds no video")
    return container


def measure(path: Path) -> tuple[int, tuple[int, int]]:
    """The number of frames, counted without decoding them, and the (height, width) of each."""
    with opened(path) as container:
        stream = container.streams.video[0]
        count = sum(1 for packet in container.demux(stream) if packet.size)
        return count, (stream.height, stream.width)


def decoded(path: Path) -> Iterator[tuple[int, UInt8[Tensor, "3 h w"]]]:
    """The frames as RGB, with their numbers from 0; ends where the video is damaged."""
    import av

    with opened(path) as container:
        frames = enumerate(container.decode(video=0))
        while True:
            try:
                number, frame = next(frames)
            except (StopIteration, av.FFmpegError):
                return
            yield number, rearrange(torch.from_numpy(frame.to_ndarray(format="rgb24")), "h w c -> c h w").contiguous()
