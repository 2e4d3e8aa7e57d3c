"""Probes of figures, tables and the report: hostile names of runs, classes and data, in every form that is written."""

from collections.abc import Callable
from pathlib import Path

from analysis.catalogue import FIGURES, TABLES
from tests.analysis.test_hardening_names import checked_figure, checked_table, inputs_named

NAMES = {
    "maths": "$\\frac{$",
    "a percent sign": "100%",
    "an underscore": "_x",
    "braces": "{}{",
    "a caret": "x^2^",
    "a tilde": "~x~",
    "backslashes": "a\\\\",
    "the end of a table": "\\end{tabular}",
    "markup": "<script>alert(1)</script>",
    "a formula": "=1+1",
    "a right-to-left mark": "\u202egnp.exe",
    "ESC and a line break": "\x1b[2Jx\ny",
}


def drawn(name: str, figures: list[str], tables: list[str]) -> Callable[[Path], None]:
    """A probe: figures and tables of runs, classes and data of this name are well-formed in all forms."""

    def probe(folder: Path) -> None:
        inputs = inputs_named([name], folder)
        for figure in figures:
            checked_figure(figure, inputs)
        for table in tables:
            checked_table(table, inputs)

    return probe


# Each name goes through its share of the figures; all names through all figures are a slow test of test_hardening_names.
PROBES = {
    title: drawn(name, FIGURES.names()[k :: len(NAMES)], TABLES.names())
    for k, (title, name) in enumerate(NAMES.items())
}
