"""Figures: each module in this folder is one, named by its file, and defines two functions.

    measure(inputs) -> Numbers      computes the numbers; raises Absent, in one sentence, if the inputs lack something
    make(numbers) -> Figure         draws them

The first line of its docstring is the figure's title in `python -m analysis list` and in the report.
"""

import csv
import io
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from analysis.catalogue import FIGURES, title
from analysis.drawing import plotly_page, style
from analysis.drawing.cells import no_formula
from analysis.figures.base import Numbers
from analysis.inputs.inputs import Inputs
from core.files import write_bytes
from core.terminal import printable

KINDS = ("pdf", "svg", "png")  # of drawings


@dataclass(frozen=True)
class MadeFigure:
    """A figure that was measured and drawn."""

    name: str
    title: str
    numbers: Numbers
    figure: Figure


def make(name: str, inputs: Inputs) -> MadeFigure:
    """Measures and draws one figure. UserError: the inputs lack something that it needs."""
    module = FIGURES.module(name)
    numbers = plain(module.measure(inputs))
    with matplotlib.rc_context(style.RC):
        return MadeFigure(name, title(FIGURES, name), numbers, module.make(numbers))


def plain(numbers: Numbers) -> Numbers:
    """The numbers with escapes for control characters in all texts, which no drawing and no SVG file can hold."""
    rows = [{key: printable(x) if isinstance(x, str) else x for key, x in row.items()} for row in numbers.rows]
    return replace(numbers, rows=rows, caption=printable(numbers.caption))


def save(made: MadeFigure, folder: Path, *, interactive: bool = False) -> list[Path]:
    """Writes PDF, SVG, PNG, numbers as CSV, caption as text and, if `interactive`, an HTML page; returns the files.

    Made again from the same inputs, the files have the same bytes; for that it sets SOURCE_DATE_EPOCH.
    """
    os.environ.setdefault("SOURCE_DATE_EPOCH", "0")
    files = {kind: render(made.figure, kind) for kind in KINDS}
    files |= {"csv": to_csv(made.numbers.rows), "txt": (made.numbers.caption + "\n").encode()}
    if interactive:
        files["html"] = plotly_page.page(made.figure, made.name, f"{made.title}. {made.numbers.caption}").encode()
    written = [Path(folder) / f"{made.name}.{kind}" for kind in files]
    for path, data in zip(written, files.values()):
        write_bytes(path, data)
    return written


def render(figure: Figure, kind: str) -> bytes:
    """The drawing as a file of a kind in KINDS, without the date."""
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {}
    if kind != "png":
        metadata = {"Date" if kind == "svg" else "CreationDate": None, "Creator": "detrdistill"}
    with matplotlib.rc_context(style.RC):
        figure.savefig(buffer, format=kind, metadata=metadata or None)
    return buffer.getvalue()


def to_csv(rows: list[dict]) -> bytes:
    """CSV with a column for every key of any row; a cell is empty where a row lacks the key, and no cell is a formula."""
    out, columns = io.StringIO(), list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: no_formula(x) for key, x in row.items()} for row in rows)
    return out.getvalue().encode()
