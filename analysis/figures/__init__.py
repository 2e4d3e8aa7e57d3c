"""Each module in this folder is one figure, and its file's name is its name.

    measure(given) -> Numbers       from runs and summaries; Absent, in one sentence, where something is missing
    make(numbers) -> Figure         the page

Its docstring's first line is its title.
"""

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from analysis.catalogue import FIGURES, title
from analysis.drawing import plotly_page, style
from analysis.figures.base import Numbers
from analysis.inputs.given import Given
from core.files import write_bytes

KINDS = ("pdf", "svg", "png")


@dataclass(frozen=True)
class Made:
    name: str
    title: str
    numbers: Numbers
    figure: Figure


def make(name: str, given: Given) -> Made:
    """Makes one figure from what is given; UserError says in one sentence what is missing."""
    module = FIGURES.module(name)
    numbers = module.measure(given)
    with matplotlib.rc_context(style.RC):
        return Made(name, title(FIGURES, name), numbers, module.make(numbers))


def save(made: Made, folder: Path, *, interactive: bool = False) -> list[Path]:
    """As PDF, SVG and PNG, with its numbers as CSV and its caption; the same bytes when made again."""
    os.environ.setdefault("SOURCE_DATE_EPOCH", "0")
    files = {kind: drawn(made.figure, kind) for kind in KINDS}
    files |= {"csv": table(made.numbers.rows), "txt": (made.numbers.caption + "\n").encode()}
    if interactive:
        files["html"] = plotly_page.page(made.figure, made.name, f"{made.title}. {made.numbers.caption}").encode()
    written = [Path(folder) / f"{made.name}.{kind}" for kind in files]
    for path, data in zip(written, files.values()):
        write_bytes(path, data)
    return written


def drawn(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    about = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    with matplotlib.rc_context(style.RC):
        figure.savefig(buffer, format=kind, metadata=about | {"Creator": "detrdistill"} if kind != "png" else None)
    return buffer.getvalue()


def table(rows: list[dict]) -> bytes:
    """CSV: every key of any row is a column; what a row lacks is empty."""
    out, columns = io.StringIO(), list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()
