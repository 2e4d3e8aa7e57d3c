"""Tables of the paper: each module in this folder is one, named by its file, and defines `fill(inputs) -> Table`.

A line shows what was measured beside what the paper printed, under "COCO, paper"; "?" is a number of the paper that is not
known. Gains are computed on the same data only: a measured one from the measured student alone, a printed one from the
paper's. The first line of a module's docstring is the table's title in `python -m analysis list`.
"""

from pathlib import Path

from analysis.catalogue import TABLES
from analysis.inputs.inputs import Inputs
from analysis.tables._layout import FORMS, Table, render
from core.files import write_bytes


def make(name: str, inputs: Inputs) -> Table:
    """Fills one table from the inputs. UserError: the inputs lack something that it needs."""
    return TABLES.module(name).fill(inputs)


def save(table: Table, folder: Path, name: str) -> list[Path]:
    """Writes a table as LaTeX (booktabs), Markdown and CSV; returns the files."""
    written = [Path(folder) / f"{name}.{kind}" for kind in FORMS]
    for path, text in zip(written, render(table).values()):
        write_bytes(path, text.encode())
    return written
