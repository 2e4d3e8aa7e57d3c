"""Batches of images of which some cannot be read: those are named, and left out.

With them come small copies of the images themselves, to draw on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Tensor

from core.data.batch import collate
from core.data.loader import fetched
from core.data.packed_batch import PackedBatch, pack, unpack
from core.data.sample import Dataset, Sample
from core.data.transforms import Augment, eval_transform, resize
from core.errors import UserError
from core.types import Images


@dataclass(frozen=True)
class ReadableBatch:
    """The images of a batch that can be read, and what is wrong with the others."""

    indices: tuple[int, ...]  # of the images in `images`, into the dataset
    images: Images | None  # None: no image can be read
    pictures: tuple[UInt8[Tensor, "3 _ _"], ...]  # the images as they are, for drawing; () if they are not wanted
    faults: dict[int, str]  # a sentence for each image that cannot be read, by its index


@dataclass(frozen=True)
class Fetched:
    """A ReadableBatch as it is sent from a worker process."""

    indices: tuple[int, ...]
    packed: PackedBatch | None
    pictures: tuple[Tensor, ...]
    faults: dict[int, str]


@dataclass(frozen=True)
class ReadableFetcher:
    """Readable batches by the indices of their images. Runs in a worker process."""

    dataset: Dataset
    augment: Augment
    longest: int  # side of a picture, at most; 0: no pictures

    def __getitem__(self, indices: Sequence[int]) -> Fetched:
        samples: dict[int, Sample] = {}
        faults: dict[int, str] = {}
        for index in indices:
            try:
                samples[index] = self.dataset[index]
            except UserError as error:
                faults[index] = str(error)
        transformed = [eval_transform(sample, self.augment) for sample in samples.values()]
        pictures = (resize(s, None, self.longest).pixels for s in samples.values()) if self.longest else ()
        return Fetched(tuple(samples), pack(*collate(transformed)) if transformed else None, tuple(pictures), faults)


def readable_batches(
    dataset: Dataset, augment: Augment, batch: int, workers: int, indices: Sequence[int], longest: int
) -> Iterator[ReadableBatch]:
    """Batches of the images with these indices, in order, resized as in evaluation.

    `longest` is the side of the pictures, at most; 0 leaves them out. Raises WorkerDied.
    """
    groups = [indices[start : start + batch] for start in range(0, len(indices), batch)]
    for item in fetched(ReadableFetcher(dataset, augment, longest), groups, workers):
        images = unpack(item.packed)[0] if item.packed else None
        yield ReadableBatch(item.indices, images, item.pictures, item.faults)
