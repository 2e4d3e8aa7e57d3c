"""Each module in this folder is one table of the paper, filled with what was given: `fill(given) -> Table`.

What was measured here stands beside what the paper printed, under 'COCO, paper', and '?' is what of that is not known. A
difference is taken on the same data only: from this project's own row without distillation, or from the paper's.
"""

from pathlib import Path

from analysis.catalogue import TABLES
from analysis.inputs.given import Given
from analysis.tables._layout import FORMS, Table, texts
from core.files import write_bytes


def make(name: str, given: Given) -> Table:
    """Fills one table with what is given; UserError says in one sentence what is missing."""
    return TABLES.module(name).fill(given)


def save(table: Table, folder: Path, name: str) -> list[Path]:
    """As LaTeX (booktabs), Markdown and CSV."""
    written = [Path(folder) / f"{name}.{kind}" for kind in FORMS]
    for path, text in zip(written, texts(table).values()):
        write_bytes(path, text.encode())
    return written
