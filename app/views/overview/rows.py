"""Runs as rows of figures and tables, each read once until its files change."""

from functools import lru_cache
from pathlib import Path

from analysis.inputs.rows import Row
from analysis.inputs.sources import rows_of_run

FILES = ("card.json", "metrics.jsonl", "timing.jsonl")  # from which a row is read
KEPT = 64  # rows


def read_row(folder: Path) -> Row | None:
    """The row of a run's folder; None where it has no scores yet. UserError: a file is damaged."""
    return read(folder, tuple(file.stat().st_mtime_ns for name in FILES if (file := folder / name).exists()))


@lru_cache(maxsize=KEPT)
def read(folder: Path, written: tuple[int, ...]) -> Row | None:
    """The row, as it was when its files were `written`."""
    return next(iter(rows_of_run(folder)), None)
