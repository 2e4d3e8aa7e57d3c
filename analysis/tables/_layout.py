"""A table as lines of numbers, and its forms: LaTeX, Markdown, CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from analysis.inputs.given import OURS, Given
from analysis.inputs.groups import Group
from analysis.inputs.rows import Row

COCO = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "aps": "APs", "apm": "APm", "apl": "APl"}
NONE = "–"  # not measured here
UNKNOWN = "?"  # the paper's, and not known


@dataclass(frozen=True)
class Here:
    """What was measured, in points of 100, over seeds."""

    data: str
    seeds: int
    means: Mapping[str, float | None]
    spreads: Mapping[str, float | None]  # the sample's deviation; None of one seed


@dataclass(frozen=True)
class Line:
    labels: tuple[str, ...]
    here: Here | None = None
    base: Here | None = None  # from which the gain is taken, on the same data
    paper: Mapping[str, float | None] = None  # by metric; what is missing is not known
    paper_base: Mapping[str, float | None] = None


@dataclass(frozen=True)
class Table:
    title: str
    labels: tuple[str, ...]  # heads of the first columns
    metrics: Mapping[str, str]  # head of each
    lines: tuple[Line, ...]
    note: str = ""
    gains: tuple[str, ...] = ("ap",)  # metrics whose gain is told

    @property
    def measured(self) -> bool:
        return any(line.here for line in self.lines)


def of_group(group: Group | None, metrics: Sequence[str] = tuple(COCO)) -> Here | None:
    if group is None:
        return None
    return of_values(group.first.data, {key: [100 * x for x in group.values(key)] for key in metrics}, len(group.rows))


def of_values(data: str, values: Mapping[str, list[float]], seeds: int) -> Here:
    means = {key: mean(x) if x else None for key, x in values.items()}
    return Here(data, seeds, means, {key: stdev(x) if len(x) > 1 else None for key, x in values.items()})


def of_teacher(group: Group | None) -> Here | None:
    """The teacher of a distilled group, as it was measured before the first step."""
    told = group and group.first.told.get("teacher_scores")
    if not told:
        return None
    return of_values(group.first.data, {k: [100 * v] for k, v in told.items() if v is not None}, 1)


def contexts(given: Given, wanted=lambda row: True) -> dict[str, dict[str, Group]]:
    """Of each student, data and schedule: the group of each method, named by its losses ("none", "ours", "fitnet" ...).

    Of several groups of one method the one nearest to the defaults.
    """
    found: dict[str, dict[str, Group]] = {}
    for group in given.groups(lambda row: row.run and wanted(row)):
        held = found.setdefault(group.first.training, {})
        name = method(group.first)
        if name not in held or group.usual > held[name].usual:
            held[name] = group
    return found


def method(row: Row) -> str:

    return "ours" if row.losses == OURS else "+".join(sorted(row.losses)) or "none"


def texts(table: Table) -> dict[str, str]:
    return {kind: form(table) for kind, form in FORMS.items()}


def number(
    value: float | None, spread: float | None = None, gain: float | None = None, *, missing: str = UNKNOWN
) -> str:
    """44.7 ± 0.3 (+2.4)"""
    if value is None:
        return missing
    told = f"{value:.1f}" + (f" ± {spread:.1f}" if spread is not None else "")
    return told + (f" ({gain:+.1f})".replace("-", "−") if gain is not None else "")


def here(line: Line, metric: str, gains: bool) -> str:
    if line.here is None:
        return NONE
    value, base = line.here.means.get(metric), line.base.means.get(metric) if line.base and gains else None
    return number(value, line.here.spreads.get(metric), difference(value, base), missing=NONE)


def paper(line: Line, metric: str, gains: bool) -> str:
    value, base = (line.paper or {}).get(metric), (line.paper_base or {}).get(metric) if gains else None
    return number(value, None, difference(value, base))


def difference(value: float | None, base: float | None) -> float | None:
    return None if value is None or base is None else value - base


def cells(table: Table) -> list[list[str]]:
    return [
        [
            *line.labels,
            line.here.data if line.here else NONE,
            str(line.here.seeds) if line.here else NONE,
            *(here(line, metric, metric in table.gains) for metric in table.metrics),
            *(paper(line, metric, metric in table.gains) for metric in table.metrics),
        ]
        for line in table.lines
    ]


def heads(table: Table) -> list[str]:
    metrics = table.metrics.values()
    return [*table.labels, "measured on", "seeds", *metrics, *(f"{m} (COCO, paper)" for m in metrics)]


def markdown(table: Table) -> str:
    lines = [heads(table), ["---"] * len(heads(table)), *cells(table)]
    body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return f"**{table.title}**\n\n{body}\n\n{table.note}\n"


def latex(table: Table) -> str:
    """For \\usepackage{booktabs}."""
    first, count = len(table.labels), len(table.metrics)
    columns = "l" * (first + 1) + "r" * (1 + 2 * count)
    ends = first + 2, first + 3, first + 2 + count, first + 3 + count, first + 2 + 2 * count
    over = (
        f"{'& ' * (first + 2)}\\multicolumn{{{count}}}{{c}}{{here}} & \\multicolumn{{{count}}}{{c}}{{COCO, paper}} \\\\"
    )
    rules = f"\\cmidrule(lr){{{ends[1]}-{ends[2]}}} \\cmidrule(lr){{{ends[3]}-{ends[4]}}}"
    head = [*table.labels, "measured on", "seeds", *table.metrics.values(), *table.metrics.values()]
    body = [" & ".join(map(escaped, line)) + " \\\\" for line in cells(table)]
    return "\n".join(
        [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{escaped(table.title)}. {escaped(table.note)}}}",
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            over,
            rules,
            " & ".join(map(escaped, head)) + " \\\\",
            "\\midrule",
            *body,
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    for plain, tex in TEX.items():
        text = text.replace(plain, tex)
    return text


TEX = {"\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "_": "\\_", "#": "\\#", "$": "\\$", "~": "\\textasciitilde{}"}
TEX |= {"±": "$\\pm$", "−": "$-$", "–": "--", "✓": "\\checkmark{}", "γ": "$\\gamma$", "×": "$\\times$"}


def comma(table: Table) -> str:
    """Numbers of all digits, each in a column of its own."""
    out = io.StringIO()
    parts = [
        f"{where}_{metric}" for metric in table.metrics for where in ("mean", "spread", "gain", "paper", "paper_gain")
    ]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*table.labels, "measured on", "seeds", *parts])
    for line in table.lines:
        row = [*line.labels, line.here.data if line.here else "", line.here.seeds if line.here else ""]
        writer.writerow(row + [x for metric in table.metrics for x in digits(line, metric)])
    return out.getvalue()


def digits(line: Line, metric: str) -> list:
    mine, base = (x.means.get(metric) if x else None for x in (line.here, line.base))
    spread = line.here.spreads.get(metric) if line.here else None
    theirs, start = ((x or {}).get(metric) for x in (line.paper, line.paper_base))
    values = [
        mine,
        spread,
        difference(mine, base),
        theirs if theirs is not None else UNKNOWN,
        difference(theirs, start),
    ]
    return ["" if x is None else x for x in values]


FORMS = {"tex": latex, "md": markdown, "csv": comma}
