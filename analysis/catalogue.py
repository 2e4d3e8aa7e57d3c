"""The catalogue of all figures, tables and benchmarks. Imports nothing that takes time."""

from pathlib import Path

from core.drop_ins import DropIns, summary

HERE = Path(__file__).parent
FIGURES = DropIns(HERE / "figures", "analysis.figures", "figure", ("measure", "make"))
TABLES = DropIns(HERE / "tables", "analysis.tables", "table", ("fill",))
BENCHES = DropIns(HERE / "bench", "analysis.bench", "benchmark", ("run",))


def in_order(files: DropIns) -> list[str]:
    """The names: the paper's figures and tables first, by number, then the others by name."""
    return sorted(files.names(), key=lambda name: (not name.startswith(("figure", "table")), number(name), name))


def number(name: str) -> int:
    """The number at the end of a name: 10 for "table10"; 0 if there is none."""
    digits = name.lstrip("abcdefghijklmnopqrstuvwxyz_")
    return int(digits) if digits.isdigit() else 0


def title(files: DropIns, name: str) -> str:
    """The first line of a file's docstring, without its full stop."""
    return summary(files.docstring(name)).rstrip(".")
