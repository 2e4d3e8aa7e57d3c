"""The dataset ImageFiles: all images of a folder, without labels."""

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from core.data.category import Category
from core.data.coco.dataset import read_image
from core.data.decode import shown_size
from core.data.layouts.split import SUFFIXES
from core.data.sample import Sample, unlabelled
from core.errors import UserError


class ImageFiles:
    """The images of a folder and its subfolders, in the order of their names; their ids count from 1."""

    def __init__(
        self,
        folder: Path,
        categories: tuple[Category, ...],
        without: frozenset[Path] = frozenset(),
        names: Iterable[str] | None = None,
    ):
        """The images whose resolved path is in `without` are left out. With `names`, the images of these names alone.

        UserError: the folder holds no image.
        """
        self.folder, self.categories = folder, categories
        every = sorted(image_names(folder) if names is None else names)
        if not every:
            raise UserError(f"{folder} holds no image ({', '.join(SUFFIXES)}); name a folder of images")
        self.names = tuple(name for name in every if (folder / name).resolve() not in without)
        self.ids = tuple(range(1, len(self.names) + 1))

    @cached_property
    def sizes(self) -> Int[ndarray, "i 2"]:
        """(height, width) of the images, read from their files' headers."""
        return np.array([size_in_header(self.folder / name) for name in self.names]).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """UserError: the image cannot be read."""
        return unlabelled(read_image(self.folder / self.names[index]), self.ids[index])

    def truth(self) -> dict:
        """The images as a COCO instances dict without annotations."""
        return without_objects(self.ids, self.names, self.sizes, self.categories)


def without_objects(
    ids: Sequence[int], names: Sequence[str], sizes: Int[ndarray, "i 2"], categories: Sequence[Category]
) -> dict:
    """Images as a COCO instances dict without annotations, given their ids, files and (height, width)."""
    rows = zip(ids, names, sizes.tolist())
    images = [{"id": id, "file_name": name, "height": height, "width": width} for id, name, (height, width) in rows]
    return {"images": images, "annotations": [], "categories": [vars(c) for c in categories]}


def image_names(folder: Path) -> list[str]:
    """The paths of all images in a folder and its subfolders, relative to it, with /. UserError: it cannot be listed."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; name the folder of the images")
    names = []
    for root, _, files in os.walk(folder, onerror=refuse_unreadable):
        names += [(Path(root) / name).relative_to(folder).as_posix() for name in files]
    return [name for name in names if name.lower().endswith(SUFFIXES)]


def refuse_unreadable(error: OSError) -> NoReturn:
    """Raises the UserError for a folder that cannot be listed, which os.walk would leave out."""
    raise UserError(f"{error.filename} cannot be listed ({error.strerror}); change its permissions, or move it away")


def size_in_header(path: Path) -> tuple[int, int]:
    """(height, width) of an image as it is seen upright, without decoding it.

    (1, 1) if it cannot be read: that is reported where its pixels are needed.
    """
    try:
        return shown_size(path)
    except UserError:
        return 1, 1
