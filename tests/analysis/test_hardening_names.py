"""Hostile and odd names in every figure, table and report, and in what is printed."""

import csv
import io
import re
import shutil
import subprocess
import warnings
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import __main__ as command
from analysis import figures, report, tables
from analysis.catalogue import FIGURES, TABLES, in_order
from analysis.drawing import plotly_page
from analysis.drawing.cells import escape_latex, escape_markdown, no_formula
from analysis.inputs.inputs import Inputs
from analysis.inputs.rows import Row
from analysis.tables._layout import Line, Measured, Table, render
from core.errors import UserError
from core.terminal import Escaped, printable
from tests.helpers import summaries
from tests.helpers.hostile import NAMES

SHORT = [name for name in NAMES if len(name) < 40 and "/" not in name]
LONG = ["".join(SHORT[:20]), "".join(SHORT[20:])]


def inputs_named(names, folder, classes=None) -> Inputs:
    """A student alone and distilled, with these names as runs, classes and data."""
    rows = []
    for k, name in enumerate(names):
        pair = summaries.pair(seeds=(0,))
        for title, row in pair.items():
            row["run"]["data"] |= {"kind": "coco", "val": f"data/{name}/{name}.json"}
            for side in ("student", "teacher"):
                scores = row["measured"][side] and row["measured"][side]["scores"]
                if scores:
                    scores["per_class"] = {x: 0.1 * n for n, x in enumerate(classes or names)}
            rows.append(Row(f"{name}{title if k else ''}", row))
    return Inputs(rows, folder / "scratch")


def checked_figure(name: str, inputs: Inputs, *, svg: bool = True) -> bool:
    """Makes a figure in its forms, and checks that they are well-formed; returns whether the inputs suffice for it.

    The interactive page draws the figure too; `svg` draws it once more.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        warnings.filterwarnings("ignore", message="Tight layout not applied")
        try:
            made = figures.make(name, inputs)
        except UserError:
            return False
        if svg:
            ElementTree.fromstring(figures.render(made.figure, "svg"))
        page = plotly_page.page(made.figure, name, made.numbers.caption)
    assert (
        "<script>alert" not in page and "<b>x" not in page[page.rindex("<p ") :] and made.numbers.caption.isprintable()
    )
    for row in csv.reader(io.StringIO(figures.to_csv(made.numbers.rows).decode())):
        assert not [cell for cell in row if cell[:1] in ("=", "@", "\t") or re.match(r"[+-][^\d.in]", cell)]
    return True


def checked_table(name: str, inputs: Inputs) -> None:
    check_forms(render(tables.make(name, inputs)))


def check_forms(forms: dict[str, str]) -> None:
    check_latex(forms["tex"])
    columns = {len(row) for row in csv.reader(io.StringIO(forms["csv"]))}
    assert len(columns) == 1
    for line in forms["md"].splitlines():
        assert line.isprintable() and "<script" not in line
    pipes = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in forms["md"].splitlines() if line.startswith("|")}
    assert len(pipes) == 1


def check_latex(text: str) -> None:
    """Groups and maths are balanced, environments nest, no special character is bare, and no row begins with an option."""
    bare = re.sub(r"\\[\\{}&%_#$^~]", "", text)
    depth = 0
    for c in bare:
        depth += {"{": 1, "}": -1}.get(c, 0)
        assert depth >= 0
    assert depth == 0 and bare.count("$") % 2 == 0 and bare.count("\\if") == bare.count("\\fi")
    assert not set("%#~^_") & set(re.sub(r"\$[^$]*\$|\\cmidrule\S*", "", bare))
    assert re.findall(r"\\(begin|end)\{(\w+)\}", bare) == [
        ("begin", "table"), ("begin", "tabular"), ("end", "tabular"), ("end", "table"),
    ]  # fmt: skip
    assert not re.search(r"\\\\\s*[\[*]", text) and all(c.isprintable() for c in text.replace("\n", ""))


def test_every_figure_and_table_of_hostile_names(tmp_path):
    """Names of runs and data are all of them joined, and classes have one each; `slow` takes them one by one."""
    inputs = inputs_named(LONG, tmp_path, classes=NAMES)
    made = [name for name in FIGURES.names() if checked_figure(name, inputs, svg=False)]
    assert {"errors", "gains", "convergence", "breakdown"} <= set(made)
    for name in TABLES.names():
        checked_table(name, inputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_every_figure_and_table_of_one_hostile_name(name, tmp_path):
    inputs = inputs_named([name], tmp_path)
    for figure in FIGURES.names():
        checked_figure(figure, inputs)
    for table in TABLES.names():
        checked_table(table, inputs)


def hostile_table(names=NAMES) -> Table:
    """A table whose labels and data are hostile names."""
    lines = [Line((name, "x"), Measured(name, 1, {"ap": 1.0}, {})) for name in names]
    return Table(f"Title {names[0]}", ("name", names[-1]), {"ap": "AP"}, tuple(lines), note="".join(names))


@given(names=st.lists(st.text(max_size=12) | st.sampled_from(NAMES), min_size=1, max_size=5))
def test_a_table_of_any_names_is_well_formed(names):
    check_forms(render(hostile_table(names)))


# Debian's texlive-latex-base has no booktabs; its rules are then those of LaTeX itself.
BOOKTABS = r"""\IfFileExists{booktabs.sty}{\usepackage{booktabs}}{
\let\toprule\hline \let\midrule\hline \let\bottomrule\hline \def\cmidrule(##1)##2{\cline{##2}}}"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["pdflatex", "lualatex", "xelatex"])
def test_latex_compiles(engine, tmp_path):
    if not shutil.which(engine):
        pytest.skip(f"no {engine} here; it is in Debian's texlive-latex-base")
    packages = "\\usepackage{amssymb}" + BOOKTABS
    text = render(hostile_table())["tex"]
    document = f"\\documentclass{{article}}{packages}\\begin{{document}}{text}\\end{{document}}"
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    words = [engine, "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_figure_that_fails_is_listed_and_the_rest_is_made(tmp_path, monkeypatch):
    real = figures.make

    def make(name, inputs):
        if name == "errors":
            raise TypeError("no <b>\x1b[2J")
        return real(name, inputs)

    monkeypatch.setattr(figures, "make", make)
    monkeypatch.setattr(
        report, "in_order", lambda files: [x for x in in_order(files) if x in ("errors", "gains", "table7")]
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        path = report.write(inputs_named(["<script>alert(1)</script>\x1b"], tmp_path), tmp_path / "out")
    text = path.read_text()
    assert "<code>errors</code>): it could not be made (TypeError: no &lt;b&gt;\\x1b[2J)" in text
    assert "<script>alert" not in text and "\x1b" not in text
    assert (tmp_path / "out/figures/gains.svg").exists() and (tmp_path / "out/tables/table7.tex").exists()


def test_the_head_of_the_report_shows_names_as_text(tmp_path):
    inputs = inputs_named(["<b>x</b>", "<script>alert(1)</script>", "\x1b[2J"], tmp_path)
    inputs = Inputs([replace(row, folder=tmp_path) for row in inputs.rows], tmp_path)
    head = "".join(report.page(inputs, {"figures": [], "tables": []}, [("<b>x</b>", "x", "<b>x</b>")]))
    assert (
        "runs (&lt;b&gt;" in head and head.replace("\n", "").isprintable() and not re.search("<b>|<script>|<img", head)
    )


def test_errors_of_a_run_without_a_cost_are_left_out(tmp_path):
    inputs = inputs_named(["x"], tmp_path)
    for row in inputs.rows:
        for side in (row.result["measured"]["student"], row.result["measured"]["teacher"]):
            if side:
                side["errors"] |= dict.fromkeys(("cls", "loc", "both", "dupe", "bkg", "miss", "ap50"))
    made = figures.make("errors", inputs)
    assert all(row["cost"] is None and row["count"] == 5 for row in made.numbers.rows)
    figures.render(made.figure, "svg")


@given(text=st.text() | st.sampled_from(NAMES))
def test_what_is_shown_has_no_control_character_and_stays_apart(text):
    shown = printable(text)
    assert shown.isprintable() and (shown == text) == text.isprintable()
    assert printable(shown) == shown and escape_markdown(text).isprintable() and escape_latex(text).isprintable()
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print(text, file=Escaped(stream))
    stream.flush()
    printed = stream.buffer.getvalue().decode("ascii").rstrip("\n").replace("\n", "").replace("\t", "")
    assert printed.isprintable()


CELLS = {"=1": "'=1", "+x": "'+x", "-1.5": "-1.5", "-x": "'-x", "@a": "'@a", "a=": "a=", 3: 3}


@pytest.mark.parametrize("text, cell", CELLS.items())
def test_no_cell_is_a_formula(text, cell):
    assert no_formula(text) == cell


def test_refusals_of_figures_show_escapes(tmp_path, capsys):
    assert command.main(["gains", str(tmp_path / "a\x1b[2J")]) == 2
    with pytest.raises(SystemExit):
        command.main(["gains", "--x\x1b[2J"])
    assert "\x1b" not in (printed := capsys.readouterr().err) and printed.count("\\x1b[2J") == 2
