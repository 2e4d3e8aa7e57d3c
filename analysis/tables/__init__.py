"""Each module in this folder is one table of the paper, filled with what was given: `fill(given) -> Table`.

What was measured here stands beside what the paper printed, under 'COCO, paper', and '?' is what of that is not known. A
difference is taken on the same data only: from this project's own row without distillation, or from the paper's.
"""

import pkgutil
from importlib import import_module
from pathlib import Path

from analysis.given import Given
from analysis.tables.layout import FORMS, Table, texts
from core.files import write_bytes


def names() -> list[str]:
    return sorted((m.name for m in pkgutil.iter_modules(__path__) if m.name != "layout"), key=lambda n: (len(n), n))


def title(name: str) -> str:
    return module(name).__doc__.strip().partition("\n")[0].rstrip(".")


def module(name: str):
    return import_module(f"{__name__}.{name}")


def make(name: str, given: Given) -> Table:
    return module(name).fill(given)


def save(table: Table, folder: Path, name: str) -> list[Path]:
    """As LaTeX (booktabs), Markdown and CSV."""
    written = [Path(folder) / f"{name}.{kind}" for kind in FORMS]
    for path, text in zip(written, texts(table).values()):
        write_bytes(path, text.encode())
    return written
