"""What `collect` wrote, read again: by columns and conditions, so that a large table is never whole in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.dataset as ds
import torch

from core.data.category import Category
from core.errors import UserError
from core.files import read_json
from core.metrics.detections import Detections
from core.metrics.hits import Objects, objects

BOX = ("x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Collected:
    folder: Path
    about: dict

    @cached_property
    def truth(self) -> dict:
        """The objects of all images as a COCO instances dict."""
        return read_json(self.folder / "truth.json")

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        return tuple(Category(**c) for c in self.about["categories"])

    @cached_property
    def objects(self) -> Objects:
        return objects(self.truth, self.categories)

    @property
    def taught(self) -> bool:
        """Whether there is a teacher."""
        return self.about["teacher"] is not None

    def layers(self, side: str) -> int:
        return int(self.rows(["layer"], side=side, image=self.truth["images"][0]["id"])["layer"].max()) + 1

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def rows(self, columns: list[str] | None = None, **where) -> pd.DataFrame:
        """The columns of the rows in which the named columns have these values; every column without a list."""
        return read(self.files, columns, where)

    def parts(self, columns: list[str], **where) -> Iterator[pd.DataFrame]:
        """The same, a part of the images at a time."""
        for path in self.files:
            yield read([path], columns, where)

    def detections(self, side: str, layer: int = -1) -> Detections:
        """The 100 best of each image, exactly as they were."""
        layer = layer % self.layers(side)
        found = self.rows(["image", "query", *BOX, "classes", "scores"], side=side, layer=layer)
        count = found["classes"].map(len).to_numpy()
        each = lambda column: np.repeat(found[column].to_numpy(), count)  # noqa: E731
        score = torch.from_numpy(np.concatenate(found["scores"].to_numpy()))
        label = torch.from_numpy(np.concatenate(found["classes"].to_numpy()).astype(np.int64))
        boxes = torch.from_numpy(np.stack([each(c) for c in BOX], 1))
        image, query = (torch.from_numpy(each(c).astype(np.int64)) for c in ("image", "query"))
        return Detections(boxes, score, label, image, query)


def read(files: list[Path], columns: list[str] | None, where: dict) -> pd.DataFrame:
    wanted = pc.scalar(True)
    for name, value in where.items():
        wanted = wanted & (pc.field(name) == value)
    return ds.dataset(files).to_table(columns, filter=wanted).to_pandas()


def opened(folder: Path) -> Collected:
    """UserError: the folder holds no whole collection."""
    about = read_json(folder / "about.json")
    parts = len(list(folder.glob("part-*.parquet")))
    if parts < -(-about["images"] // about["each"]):
        raise UserError(f"{folder} is not whole; go on with: python -m analysis collect RUN --out {folder}")
    return Collected(folder, about)
