"""Calibration of scores: the share of detections that hit an object, by score."""

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import data_names
from analysis.figures.base import Numbers
from analysis.inputs.groups import Comparison
from analysis.inputs.inputs import Absent, Inputs

FEW = 20  # bins with fewer detections are not shown


def measure(inputs: Inputs) -> Numbers:
    """A row for each bin of scores and each role of up to three comparisons.

    Absent: nothing was measured, or no bin has FEW detections.
    """
    comparisons = inputs.measurable_comparisons()[:3]
    rows = [row for comparison in comparisons for row in rows_of(comparison, inputs)]
    if not rows:
        raise Absent(f"it needs at least {FEW} detections in a bin of scores; give more images by --limit")
    about = (
        f"Share of detections that hit an object (IoU at least 0.5) by score, on {data_names(comparisons)}, first seed"
    )
    line = "on the grey line, scores equal this share"
    return Numbers(rows, f"{about}; {line}; in brackets the expected calibration error.")


def rows_of(comparison: Comparison, inputs: Inputs) -> list[dict]:
    """The rows of one comparison, from the first seed of each group."""
    by_role = {}
    for kind, group in comparison.groups.items():
        measurements = inputs.measurements(group.first)
        by_role[kind] = measurements["student"]["calibration"]
        if measurements["teacher"]:
            by_role["teacher"] = measurements["teacher"]["calibration"]
    return [row for role, calibration in by_role.items() for row in bins(comparison.label, role, calibration)]


def bins(panel: str, role: str, calibration: dict) -> list[dict]:
    """A row for each bin with at least FEW detections."""
    about = {"panel": panel, "who": role, "error": calibration["error"]}
    columns = zip(calibration["count"], calibration["score"], calibration["right"])
    return [about | {"score": s, "right": r, "detections": n} for n, s, r in columns if n >= FEW]


def make(numbers: Numbers) -> Figure:
    """A panel for each comparison, a curve for each role."""
    panels = list(dict.fromkeys(row["panel"] for row in numbers.rows))
    figure = Figure(figsize=style.size(2.4, columns=min(2, len(panels))))
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False).ravel(), panels):
        ax.plot([0, 1], [0, 1], color="#AAAAAA", linewidth=0.8, label="_chance")
        for role in ("student", "distilled", "teacher"):
            rows = [r for r in numbers.rows if (r["panel"], r["who"]) == (panel, role)]
            if rows:
                label = f"{style.ROLE_NAMES[role]} ({rows[0]['error']:.3f})"
                x, y = ([r[key] for r in rows] for key in ("score", "right"))
                draw.curve(ax, x, [y], label=label, look=style.ROLE_STYLES[role])
        ax.set(xlabel="score", ylabel="share that hit an object", xlim=(0, 1), ylim=(0, 1.02))
        ax.set_title(panel if len(panels) > 1 else "")
        ax.legend(loc="upper left")
    return figure
