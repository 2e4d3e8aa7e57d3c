"""The report: all figures and tables on one HTML page, with the reasons for those that are absent."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from analysis import figures, tables
from analysis.catalogue import FIGURES, TABLES, in_order, title
from analysis.inputs.inputs import Inputs
from analysis.tables._layout import Table, cells
from core.errors import UserError
from core.files import write_bytes
from core.progress import watched
from core.terminal import printable

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
figure { margin: 2.5rem 0 }
figure img { max-width: 100%; height: auto }
figcaption { color: #333; max-width: 60rem }
table { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto }
td, th { padding: .15rem .6rem; text-align: right; white-space: nowrap }
td.label, th.label { text-align: left }
td.paper, th.paper { color: #666 }
thead { border-top: 2px solid; border-bottom: 1px solid }
tbody { border-bottom: 2px solid }
nav a { margin-right: 1rem }
.absent { color: #8a3b00 }
"""


def write(inputs: Inputs, out: Path, *, interactive: bool = False) -> Path:
    """Writes index.html and, in folders beside it, the files of every figure and table; returns the page's path."""
    jobs = [("figures", name) for name in in_order(FIGURES)] + [("tables", name) for name in in_order(TABLES)]
    parts: dict[str, list[str]] = {"figures": [], "tables": []}
    missing = []
    for kind, name in watched(jobs, "report", len(jobs)):
        try:
            parts[kind].append(MAKERS[kind](inputs, out, name, interactive))
        except Exception as error:  # one figure that fails must not cost the others
            reason = (
                str(error)
                if isinstance(error, UserError)
                else f"it could not be made ({type(error).__name__}: {error})"
            )
            missing.append((title(FILES[kind], name), name, printable(reason)))
    path = out / "index.html"
    write_bytes(path, "\n".join(page(inputs, parts, missing)).encode())
    return path


def figure(inputs: Inputs, out: Path, name: str, interactive: bool) -> str:
    """Makes and writes one figure; returns its part of the page."""
    result = figures.make(name, inputs)
    written = figures.save(result, out / "figures", interactive=interactive)
    links = " ".join(f'<a href="figures/{p.name}">{p.suffix[1:]}</a>' for p in written if p.suffix != ".txt")
    return (
        f'<figure id="{name}"><h2>{escape(result.title)}</h2><img src="figures/{name}.svg" alt="{escape(result.title)}">'
        f"<figcaption>{escape(result.numbers.caption)}<br>{links}</figcaption></figure>"
    )


def table(inputs: Inputs, out: Path, name: str, interactive: bool) -> str:
    """Makes and writes one table; returns its part of the page."""
    result = tables.make(name, inputs)
    written = tables.save(result, out / "tables", name)
    links = " ".join(f'<a href="tables/{p.name}">{p.suffix[1:]}</a>' for p in written)
    absent = "" if result.has_measurements else '<p class="absent">None of the given runs belongs in this table.</p>'
    body = f'<section id="{name}"><h2>{escape(title(TABLES, name))}</h2>{grid(result)}'
    return f"{body}<p>{escape(result.note)} {links}</p>{absent}</section>"


def grid(made: Table) -> str:
    """The table as an HTML table."""
    first, count = len(made.labels) + 1, len(made.metrics)

    def line(tag: str, texts: list[str]) -> str:
        part = lambda k: "label" if k < first else "paper" if k > first + count else "measured"  # noqa: E731
        return "<tr>" + "".join(f'<{tag} class="{part(k)}">{escape(t)}</{tag}>' for k, t in enumerate(texts)) + "</tr>"

    spans = f'<th colspan="{count}">measured</th><th colspan="{count}">COCO, paper</th>'
    over = f'<tr><th colspan="{first + 1}"></th>{spans}</tr>'
    head = [*made.labels, "measured on", "seeds", *made.metrics.values(), *made.metrics.values()]
    body = "".join(line("td", texts) for texts in cells(made))
    return f"<table><thead>{over}{line('th', head)}</thead><tbody>{body}</tbody></table>"


def page(inputs: Inputs, parts: dict[str, list[str]], missing: list[tuple[str, str, str]]) -> Iterator[str]:
    """The lines of the page; `missing` holds title, name and reason of everything that could not be made."""
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>DETRDistill: report</title><style>{STYLE}</style>'
    yield "<h1>DETRDistill: figures and tables</h1>"
    yield f"<p>Made from {escape(sources(inputs))}. Differences are computed on the same data only.</p>"
    yield '<nav><a href="#figures">figures</a><a href="#tables">tables</a><a href="#absent">what is absent</a></nav>'
    for kind in ("figures", "tables"):
        yield f'<a id="{kind}"></a>'
        yield from parts[kind]
    yield '<h2 id="absent">What is absent</h2>'
    items = (f"<li>{escape(about)} (<code>{name}</code>): {escape(reason)}</li>" for about, name, reason in missing)
    yield f"<ul class='absent'>{''.join(items)}</ul>" if missing else "<p>Nothing.</p>"


def sources(inputs: Inputs) -> str:
    """How many runs with weights there are, with names, and how many rows of summaries."""
    runs = [row.name for row in inputs.runs]
    names = ", ".join(map(printable, runs[:12])) + (f" and {len(runs) - 12} more" if len(runs) > 12 else "")
    counts = [f"{len(runs)} runs ({names})"] * bool(runs)
    if rows := len(inputs.rows) - len(runs):
        counts.append(f"{rows} rows of studies")
    return " and ".join(counts)


MAKERS = {"figures": figure, "tables": table}
FILES = {"figures": FIGURES, "tables": TABLES}
