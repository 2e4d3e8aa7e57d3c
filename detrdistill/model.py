"""A trained detector, as a few lines of Python use it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from einops import rearrange
from numpy import ndarray
from PIL import Image
from torch import Tensor

from core.data.coco.dataset import read_image
from core.data.decode import rgb
from core.errors import UserError
from core.metrics.detections import Detections
from core.runs.predictor import Predictor, open_predictor
from detrdistill.results import Detection, Result
from train.job.build import device_of

Picture: TypeAlias = str | Path | Image.Image | ndarray  # a file, an image, or an array h w 3 (RGB) or h w, uint8
SCORE = 0.3  # least score of a detection, as in `python -m train predict`


def load(path: str | Path, device: str = "auto") -> "Model":
    """Opens the student of a run, or a file of weights; `auto` takes cuda if there is one. UserError: it cannot be read."""
    return Model(open_predictor(Path(path), device_of(device)))


class Model:
    """A detector that finds objects in pictures."""

    def __init__(self, predictor: Predictor):
        self.predictor = predictor

    @property
    def path(self) -> Path:
        """The run or the file that was opened."""
        return self.predictor.path

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(c.name for c in self.predictor.categories)

    def __repr__(self) -> str:
        return f"<{self.predictor.detector.kind} of {self.path} with {len(self.classes)} classes>"

    def predict(self, pictures: Picture | Sequence[Picture], *, score: float = SCORE, batch: int = 8) -> Any:
        """The objects in a picture with at least this score, as a Result; for a list of pictures, a list of them.

        UserError: a picture cannot be read, or is none.
        """
        if isinstance(pictures, list | tuple):
            return list(self.results(pictures, score, batch))
        return next(self.results([pictures], score, batch))

    def results(self, pictures: Sequence[Any], score: float, batch: int) -> Iterator[Result]:
        """The results of pictures one after another, computed in batches."""
        for start in range(0, len(pictures), batch):
            pixels = [pixels_of(picture) for picture in pictures[start : start + batch]]
            for detections, x in zip(self.predictor.detect_in(pixels, score), pixels):
                yield Result(self.named(detections), (x.shape[1], x.shape[2]))

    def named(self, detections: Detections) -> tuple[Detection, ...]:
        """The detections of one image with the names of their classes."""
        rows = zip(detections.labels.tolist(), detections.scores.tolist(), detections.boxes.tolist())
        return tuple(Detection(self.classes[k], score, (x0, y0, x1, y1), k) for k, score, (x0, y0, x1, y1) in rows)


def pixels_of(picture: Picture) -> Tensor:
    """The picture as RGB (uint8, 3 h w); a file is turned as its EXIF orientation says. UserError: it is none."""
    if isinstance(picture, str | Path):
        return read_image(Path(picture))
    if isinstance(picture, Image.Image):
        try:
            return channels_first(rgb(picture))
        except (ValueError, OSError) as error:
            raise UserError(f"that PIL image cannot be read ({error}); convert it to RGB") from None
    if isinstance(picture, ndarray) and picture.dtype == np.uint8 and picture.size:
        if picture.ndim == 2:
            return channels_first(np.stack([picture] * 3, -1))
        if picture.ndim == 3 and picture.shape[2] == 3:
            return channels_first(picture)
    what = (
        f"an array {picture.shape} of {picture.dtype}" if isinstance(picture, ndarray) else f"{type(picture).__name__}"
    )
    raise UserError(f"a picture is a file's name, a PIL image, or an array h w 3 (RGB) or h w of uint8, not {what}")


def channels_first(pixels: ndarray) -> Tensor:
    """An array h w 3 as a tensor 3 h w, copied."""
    return rearrange(torch.from_numpy(np.array(pixels)), "h w c -> c h w").contiguous()
