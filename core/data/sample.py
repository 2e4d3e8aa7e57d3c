"""The interface of datasets: a Dataset gives Samples, each an image with its objects, and names the classes."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from core.data.category import Category

# What the objects of a sample are: labels; a detector's, as pseudo truth; true, but withheld from training, where they only
# measure the pseudo truth; or unknown, and the sample has none.
Truth = Literal["given", "pseudo", "withheld", "unknown"]
View = tuple[float, float, float, float]  # of a sample of its source image, as in `core.types.Images.views`
WHOLE: View = (1.0, 1.0, 0.0, 0.0)  # the source image as it is


@dataclass(frozen=True)
class Sample:
    """One RGB image and its objects."""

    pixels: UInt8[Tensor, "3 h w"]
    boxes: Float[Tensor, "t 4"]  # (x0, y0, x1, y1) in pixels of this image
    labels: Int[Tensor, " t"]  # 0 .. classes - 1
    id: int
    original: tuple[int, int]  # (height, width) of the source image, upright
    truth: Truth = "given"
    weights: Float[Tensor, " t"] | None = None  # what each object counts for; None: 1
    view: View = WHOLE

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.pixels.shape[-2], self.pixels.shape[-1]


def unlabelled(pixels: UInt8[Tensor, "3 h w"], id: int) -> Sample:
    """An RGB image, as it is, whose objects are unknown."""
    none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    return Sample(pixels, *none, id, (pixels.shape[1], pixels.shape[2]), truth="unknown")


@runtime_checkable
class Dataset(Protocol):
    """Samples by index, without augmentation."""

    @property
    def categories(self) -> tuple[Category, ...]:
        """The classes."""

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the images, in order."""

    @property
    def sizes(self) -> Int[ndarray, "i 2"]:
        """(height, width) of the source images."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def truth(self) -> dict:
        """The objects as a COCO instances dict, with boxes in pixels of the source images."""
        ...
