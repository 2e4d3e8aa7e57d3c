"""The layout of a table: lines of measured and printed numbers, and their LaTeX, Markdown and CSV forms."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev

from analysis.drawing.cells import escape_latex, escape_markdown, no_formula
from analysis.inputs.groups import Group
from analysis.inputs.inputs import OURS, Inputs
from analysis.inputs.rows import Row, detector_title
from core.terminal import printable

COCO = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "aps": "APs", "apm": "APm", "apl": "APl"}
BY_SIZE = {key: COCO[key] for key in ("ap", "aps", "apm", "apl")}
NOT_MEASURED = "–"
UNKNOWN = "?"  # a number of the paper that is not known

Metrics = Mapping[str, float | None]  # by metric; None: not measured, or not known


@dataclass(frozen=True)
class Measured:
    """Measured metrics in points (0 to 100), over the seeds of one setting."""

    data: str  # name of the validation images
    seeds: int
    means: Metrics
    spreads: Metrics  # sample standard deviation over seeds; None for one seed


@dataclass(frozen=True)
class Line:
    """One line of a table: its labels, what was measured, and what the paper printed."""

    labels: tuple[str, ...]
    measured: Measured | None = None
    base: Measured | None = None  # the measured line, on the same data, from which the gain is computed
    paper: Metrics = field(default_factory=dict)  # a missing metric is not known
    paper_base: Metrics = field(default_factory=dict)  # the printed line from which the gain is computed


@dataclass(frozen=True)
class Table:
    """A table, independent of the form in which it is written."""

    title: str
    labels: tuple[str, ...]  # names of the label columns
    metrics: Mapping[str, str]  # column name of each metric
    lines: tuple[Line, ...]
    note: str = ""
    gains: tuple[str, ...] = ("ap",)  # metrics that are shown with their gain

    @property
    def has_measurements(self) -> bool:
        """Returns whether any line was measured."""
        return any(line.measured for line in self.lines)


# Measured numbers of groups


def measured_group(group: Group | None, metrics: Sequence[str] = tuple(COCO)) -> Measured | None:
    """The group's COCO metrics; None without a group."""
    if group is None:
        return None
    values = {key: [100 * x for x in group.values(key)] for key in metrics}
    return measured_values(group.first.data, values, len(group.rows))


def measured_values(data: str, values: Mapping[str, list[float]], seeds: int) -> Measured:
    """Means and standard deviations of the values (in points) of each metric."""
    means = {key: mean(x) if x else None for key, x in values.items()}
    return Measured(data, seeds, means, {key: stdev(x) if len(x) > 1 else None for key, x in values.items()})


def measured_teacher(group: Group | None) -> Measured | None:
    """The teacher of a distilled group, measured before the first step; None if its scores are unknown."""
    scores = group.first.result.get("teacher_scores") if group else None
    if group is None or not scores:
        return None
    return measured_values(group.first.data, {k: [100 * v] for k, v in scores.items() if v is not None}, 1)


def measured_baseline(inputs: Inputs, sweep: Mapping[object, Group]) -> Measured | None:
    """The student of a sweep trained alone; None if there is none."""
    trainings = {group.first.training_key for group in sweep.values()}
    alone = inputs.groups(lambda row: row.losses == frozenset() and row.training_key in trainings)
    return measured_group(alone[0]) if alone else None


def sweep_labels(sweep: Mapping[object, Group]) -> tuple[str, str]:
    """The detector and the losses of a sweep; the paper's in an empty one."""
    row = next((group.first for group in sweep.values()), None)
    return (detector_title(row.detector), " + ".join(sorted(row.losses or ()))) if row else ("AdaMixer", "logits")


def groups_by_method(inputs: Inputs, wanted: Callable[[Row], bool] = lambda row: True) -> dict[str, dict[str, Group]]:
    """The group of each method, by `method_name`, for each student, data and schedule (`Row.training_key`).

    Of several groups of one method, the one nearest to the defaults is taken.
    """
    trainings: dict[str, dict[str, Group]] = {}
    for group in inputs.groups(lambda row: bool(row.run) and wanted(row)):
        methods = trainings.setdefault(group.first.training_key, {})
        name = method_name(group.first)
        if name not in methods or group.preference > methods[name].preference:
            methods[name] = group
    return trainings


def method_name(row: Row) -> str:
    """The row's distillation losses: "none", "ours" for those of DETRDistill, else their names, as in "features+logits"."""
    return "ours" if row.losses == OURS else "+".join(sorted(row.losses or ())) or "none"


# Cells


def format_number(
    value: float | None, spread: float | None = None, gain: float | None = None, *, missing: str = UNKNOWN
) -> str:
    """A number with its standard deviation and gain: "44.7 ± 0.3 (+2.4)"; `missing` in place of None."""
    if value is None:
        return missing
    text = f"{value:.1f}" + (f" ± {spread:.1f}" if spread is not None else "")
    return text + (f" ({gain:+.1f})".replace("-", "−") if gain is not None else "")


def measured_cell(line: Line, metric: str, gains: bool) -> str:
    """A measured metric, with its gain if `gains`."""
    if line.measured is None:
        return NOT_MEASURED
    value, base = line.measured.means.get(metric), line.base.means.get(metric) if line.base and gains else None
    return format_number(value, line.measured.spreads.get(metric), difference(value, base), missing=NOT_MEASURED)


def paper_cell(line: Line, metric: str, gains: bool) -> str:
    """A metric of the paper, with its gain if `gains`."""
    value, base = line.paper.get(metric), line.paper_base.get(metric) if gains else None
    return format_number(value, None, difference(value, base))


def difference(value: float | None, base: float | None) -> float | None:
    """`value` - `base`; None if either is None."""
    return None if value is None or base is None else value - base


def cells(table: Table) -> list[list[str]]:
    """The texts of all cells, line by line: labels, data, seeds, measured metrics, metrics of the paper."""
    return [
        [
            *map(printable, line.labels),
            printable(line.measured.data) if line.measured else NOT_MEASURED,
            str(line.measured.seeds) if line.measured else NOT_MEASURED,
            *(measured_cell(line, metric, metric in table.gains) for metric in table.metrics),
            *(paper_cell(line, metric, metric in table.gains) for metric in table.metrics),
        ]
        for line in table.lines
    ]


def column_names(table: Table) -> list[str]:
    """The column names of `cells`."""
    metrics = table.metrics.values()
    return [*table.labels, "measured on", "seeds", *metrics, *(f"{m} (COCO, paper)" for m in metrics)]


# File formats


def render(table: Table) -> dict[str, str]:
    """The table in each form, by file extension."""
    return {kind: form(table) for kind, form in FORMS.items()}


def to_markdown(table: Table) -> str:
    """Markdown: title, table and note."""
    names = column_names(table)
    lines = [names, ["---"] * len(names), *cells(table)]
    body = "\n".join("| " + " | ".join(map(escape_markdown, line)) + " |" for line in lines)
    return f"**{escape_markdown(table.title)}**\n\n{body}\n\n{escape_markdown(table.note)}\n"


def to_latex(table: Table) -> str:
    """A LaTeX table environment with title and note as its caption; needs \\usepackage{booktabs}."""
    first, count = len(table.labels), len(table.metrics)
    columns = "l" * (first + 1) + "r" * (1 + 2 * count)
    ends = first + 2, first + 3, first + 2 + count, first + 3 + count, first + 2 + 2 * count
    span = f"\\multicolumn{{{count}}}{{c}}"
    over = f"{'& ' * (first + 2)}{span}{{measured}} & {span}{{COCO, paper}} \\\\"
    rules = f"\\cmidrule(lr){{{ends[1]}-{ends[2]}}} \\cmidrule(lr){{{ends[3]}-{ends[4]}}}"
    head = [*table.labels, "measured on", "seeds", *table.metrics.values(), *table.metrics.values()]
    body = [" & ".join(map(escape_latex, line)) + " \\\\" for line in cells(table)]
    return "\n".join(
        [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{escape_latex(table.title)}. {escape_latex(table.note)}}}",
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            over,
            rules,
            " & ".join(map(escape_latex, head)) + " \\\\",
            "\\midrule",
            *body,
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def to_csv(table: Table) -> str:
    """CSV with unrounded numbers: mean, spread, gain, paper and paper_gain of each metric in columns of their own."""
    out = io.StringIO()
    parts = [
        f"{part}_{metric}" for metric in table.metrics for part in ("mean", "spread", "gain", "paper", "paper_gain")
    ]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*table.labels, "measured on", "seeds", *parts])
    for line in table.lines:
        labels = [printable(label) for label in line.labels]
        about = [printable(line.measured.data), line.measured.seeds] if line.measured else ["", ""]
        numbers = [x for metric in table.metrics for x in csv_values(line, metric)]
        writer.writerow([*map(no_formula, [*labels, *about]), *numbers])
    return out.getvalue()


def csv_values(line: Line, metric: str) -> list[float | str]:
    """The five numbers of a metric in the CSV; "" for what is missing, and "?" for an unknown number of the paper."""
    value, base = (x.means.get(metric) if x else None for x in (line.measured, line.base))
    spread = line.measured.spreads.get(metric) if line.measured else None
    printed, printed_base = line.paper.get(metric), line.paper_base.get(metric)
    paper = UNKNOWN if printed is None else printed
    values = [value, spread, difference(value, base), paper, difference(printed, printed_base)]
    return ["" if x is None else x for x in values]


FORMS = {"tex": to_latex, "md": to_markdown, "csv": to_csv}
