"""Reads a query table that `collect` wrote, by columns and conditions, so that a large table never fills the memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
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
class QueryTable:
    """A complete query table on disk; `analysis/query_table/rows.py` describes its columns. Sides: "student", "teacher"."""

    folder: Path
    about: dict  # the contents of about.json

    @cached_property
    def truth(self) -> dict:
        """The objects of all images as a COCO instances dict."""
        return read_json(self.folder / "truth.json")

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """The categories, by label."""
        return tuple(Category(**c) for c in self.about["categories"])

    @cached_property
    def objects(self) -> Objects:
        """The objects of all images as arrays."""
        return objects(self.truth, self.categories)

    @property
    def has_teacher(self) -> bool:
        """Returns whether the run had a teacher, and so the table has rows of one."""
        return self.about["teacher"] is not None

    def layers(self, side: str) -> int:
        """Number of decoder layers of a detector."""
        return int(self.rows(["layer"], side=side, image=self.truth["images"][0]["id"])["layer"].max()) + 1

    @property
    def files(self) -> list[Path]:
        """The Parquet parts, in the order of their images."""
        return sorted(self.folder.glob("part-*.parquet"))

    def rows(self, columns: list[str] | None = None, **where: str | int | Sequence[int]) -> pd.DataFrame:
        """Selects columns (None: all) of the rows in which the columns named in `where` have the given values."""
        return read_rows(self.files, columns, where)

    def parts(self, columns: list[str], **where: str | int) -> Iterator[pd.DataFrame]:
        """The rows of `rows`, one part of the images at a time."""
        for path in self.files:
            yield read_rows([path], columns, where)

    def detections(self, side: str, layer: int = -1) -> Detections:
        """The 100 best detections of each image in one layer, bit for bit as the detector made them."""
        layer = layer % self.layers(side)
        rows = self.rows(["image", "query", *BOX, "classes", "scores"], side=side, layer=layer)
        count = rows["classes"].map(len).to_numpy()
        repeated = lambda column: np.repeat(rows[column].to_numpy(), count)  # noqa: E731
        score = torch.from_numpy(np.concatenate(rows["scores"].to_numpy()))
        label = torch.from_numpy(np.concatenate(rows["classes"].to_numpy()).astype(np.int64))
        boxes = torch.from_numpy(np.stack([repeated(c) for c in BOX], 1))
        image, query = (torch.from_numpy(repeated(c).astype(np.int64)) for c in ("image", "query"))
        return Detections(boxes, score, label, image, query)


def read_rows(
    source: list[Path] | pa.Table, columns: list[str] | None, where: Mapping[str, str | int | Sequence[int]]
) -> pd.DataFrame:
    """Reads columns (None: all) of those rows of Parquet files, or of a table, in which the columns in `where` have the given
    values, or one of them.
    """
    condition = pc.scalar(True)
    for name, value in where.items():
        values = [value] if isinstance(value, str | int) else value
        condition = condition & pc.field(name).isin(list(values))
    return ds.dataset(source).to_table(columns, filter=condition).to_pandas()


def open_table(folder: Path) -> QueryTable:
    """The query table in a folder. UserError: the folder holds no complete table."""
    about = read_json(folder / "about.json")
    parts = len(list(folder.glob("part-*.parquet")))
    if parts < -(-about["images"] // about["each"]):
        raise UserError(f"{folder} is not whole; go on with: python -m analysis collect RUN --out {folder}")
    return QueryTable(folder, about)
