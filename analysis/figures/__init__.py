"""Each module in this folder is one figure, its file's name is its name: `make(folder) -> Figure`."""

import io
import os
import pkgutil
from importlib import import_module
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from core.files import write_bytes

STILL = {"svg.hashsalt": "detrdistill", "svg.fonttype": "none", "pdf.fonttype": 42, "font.size": 8}


def names() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def make(name: str, folder: Path) -> Figure:
    """The figure of a run's or a study's folder; UserError says in one sentence what is missing."""
    with matplotlib.rc_context(STILL):
        return import_module(f"{__name__}.{name}").make(folder)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """As PDF, SVG and PNG; the same bytes when made again."""
    os.environ.setdefault("SOURCE_DATE_EPOCH", "0")
    written = [Path(folder) / f"{name}.{kind}" for kind in ("pdf", "svg", "png")]
    for path in written:
        buffer = io.BytesIO()
        with matplotlib.rc_context(STILL):
            figure.savefig(buffer, format=path.suffix[1:], dpi=200)
        write_bytes(path, buffer.getvalue())
    return written
