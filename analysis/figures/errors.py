"""Cost of each of TIDE's error types in AP50."""

from statistics import mean, stdev

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import data_names, seeds_note
from analysis.figures.base import Numbers
from analysis.inputs.groups import Comparison
from analysis.inputs.inputs import Inputs
from core.metrics.tide import KINDS

NAMES = {"cls": "class", "loc": "location", "both": "both", "dupe": "duplicate", "bkg": "background", "miss": "missed"}
MOST = 4  # comparisons in one figure
MEANS = (
    "Class: on an object of another class; location: the right class, but too little overlap; both: wrong class and too "
    "little overlap; duplicate: on an object that another detection hits; background: on no object; missed: an object without "
    "a detection"
)


def measure(inputs: Inputs) -> Numbers:
    """A row for each error type and role of up to MOST comparisons. Absent: nothing was measured."""
    comparisons = inputs.measurable_comparisons()[:MOST]
    rows = [row for comparison in comparisons for row in rows_of(comparison, inputs)]
    about = f"AP50 that would be gained without each type of error (TIDE), on {data_names(comparisons)}"
    return Numbers(rows, f"{about}; {seeds_note(comparisons)}. {MEANS}.")


def rows_of(comparison: Comparison, inputs: Inputs) -> list[dict]:
    """The rows of one comparison, the teacher first."""
    group = comparison.groups.get("distilled", next(iter(comparison.groups.values())))
    teacher = inputs.measurements(group.first)["teacher"]
    errors = {"teacher": [teacher["errors"]]} if teacher else {}
    for kind, group in comparison.groups.items():
        errors[kind] = [inputs.measurements(row)["student"]["errors"] for row in group.rows]
    return [cost_row(comparison.label, role, kind, runs) for role, runs in errors.items() for kind in KINDS]


def cost_row(panel: str, role: str, kind: str, runs: list[dict]) -> dict:
    """Cost in points of AP50 and number of errors of one type, mean over seeds; None without an AP50, as without objects."""
    costs = [100 * run[kind] for run in runs if run[kind] is not None]
    cost, spread = mean(costs) if costs else None, stdev(costs) if len(costs) > 1 else None
    count = mean(run["counts"][kind] for run in runs)
    return {"panel": panel, "who": role, "kind": kind, "cost": cost, "spread": spread, "count": count}


def make(numbers: Numbers) -> Figure:
    """A panel for each comparison, with bars for each error type."""
    panels = list(dict.fromkeys(row["panel"] for row in numbers.rows))
    figure = Figure(figsize=style.size(2.0 * len(panels), columns=2))
    for ax, panel in zip(figure.subplots(len(panels), 1, squeeze=False).ravel(), panels):
        series = {}
        for role in ("teacher", "student", "distilled"):
            by_kind = {r["kind"]: r for r in numbers.rows if (r["panel"], r["who"]) == (panel, role)}
            if by_kind:
                heights, spreads = ([by_kind[kind][key] for kind in KINDS] for key in ("cost", "spread"))
                series[style.ROLE_NAMES[role]] = heights, spreads, style.ROLE_STYLES[role]
        draw.bars(ax, [NAMES[kind] for kind in KINDS], series)
        ax.set(ylabel="cost in AP50", title=panel if len(panels) > 1 else "")
        ax.margins(x=0.02, y=0.12)
        ax.legend(loc="best")
    return figure
