"""All figures and tables of what is given, on one HTML page, with a word on what is absent."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from analysis import figures, tables
from analysis.catalogue import FIGURES, TABLES, in_order, title
from analysis.inputs.given import Given
from analysis.tables._layout import Table, cells
from core.errors import UserError
from core.files import write_bytes
from core.progress import watched

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


def write(given: Given, out: Path, *, interactive: bool = False) -> Path:
    """The page, index.html in `out`; figures and tables go into folders beside it."""
    jobs = [("figures", name) for name in in_order(FIGURES)] + [("tables", name) for name in in_order(TABLES)]
    parts, missing = {"figures": [], "tables": []}, []
    for kind, name in watched(jobs, "report", len(jobs)):
        try:
            parts[kind].append(MAKERS[kind](given, out, name, interactive))
        except UserError as error:
            missing.append((title(FILES[kind], name), name, str(error)))
    path = out / "index.html"
    write_bytes(path, "\n".join(html(given, parts, missing)).encode())
    return path


def figure(given: Given, out: Path, name: str, interactive: bool) -> str:
    made = figures.make(name, given)
    written = figures.save(made, out / "figures", interactive=interactive)
    links = " ".join(f'<a href="figures/{p.name}">{p.suffix[1:]}</a>' for p in written if p.suffix != ".txt")
    return (
        f'<figure id="{name}"><h2>{escape(made.title)}</h2><img src="figures/{name}.svg" alt="{escape(made.title)}">'
        f"<figcaption>{escape(made.numbers.caption)}<br>{links}</figcaption></figure>"
    )


def table(given: Given, out: Path, name: str, interactive: bool) -> str:
    made = tables.make(name, given)
    written = tables.save(made, out / "tables", name)
    links = " ".join(f'<a href="tables/{p.name}">{p.suffix[1:]}</a>' for p in written)
    absent = "" if made.measured else '<p class="absent">Nothing that was given belongs into this table.</p>'
    body = f'<section id="{name}"><h2>{escape(title(TABLES, name))}</h2>{grid(made)}'
    return f"{body}<p>{escape(made.note)} {links}</p>{absent}</section>"


def grid(made: Table) -> str:
    first, count = len(made.labels) + 1, len(made.metrics)

    def line(tag: str, texts: list[str]) -> str:
        place = lambda k: "label" if k < first else "paper" if k > first + count else "here"  # noqa: E731
        return "<tr>" + "".join(f'<{tag} class="{place(k)}">{escape(t)}</{tag}>' for k, t in enumerate(texts)) + "</tr>"

    over = (
        f'<tr><th colspan="{first + 1}"></th><th colspan="{count}">here</th><th colspan="{count}">COCO, paper</th></tr>'
    )
    head = [*made.labels, "measured on", "seeds", *made.metrics.values(), *made.metrics.values()]
    body = "".join(line("td", texts) for texts in cells(made))
    return f"<table><thead>{over}{line('th', head)}</thead><tbody>{body}</tbody></table>"


def html(given: Given, parts: dict[str, list[str]], missing: list[tuple[str, str, str]]) -> Iterator[str]:
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>DETRDistill: report</title><style>{STYLE}</style>'
    yield "<h1>DETRDistill: figures and tables</h1>"
    yield f"<p>Made from {escape(sources(given))}. Differences are taken on the same data only.</p>"
    yield '<nav><a href="#figures">figures</a><a href="#tables">tables</a><a href="#absent">what is absent</a></nav>'
    for kind in ("figures", "tables"):
        yield f'<a id="{kind}"></a>'
        yield from parts[kind]
    yield '<h2 id="absent">What is absent</h2>'
    items = (f"<li>{escape(named)} (<code>{name}</code>): {escape(why)}</li>" for named, name, why in missing)
    yield f"<ul class='absent'>{''.join(items)}</ul>" if missing else "<p>Nothing.</p>"


def sources(given: Given) -> str:
    runs, told = [row.name for row in given.runs], len(given.rows) - len(given.runs)
    named = ", ".join(runs[:12]) + (f" and {len(runs) - 12} more" if len(runs) > 12 else "")
    return (
        f"{len(runs)} runs ({named})" * bool(runs)
        + " and " * bool(runs and told)
        + f"{told} rows of studies" * bool(told)
    )


MAKERS = {"figures": figure, "tables": table}
FILES = {"figures": FIGURES, "tables": TABLES}
