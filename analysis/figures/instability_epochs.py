"""Instability of the matching from one epoch to the next, over training.

Instability IS (DN-DETR, arXiv 2203.01305): the number of queries of an image whose object, in the last decoder layer, is
another than in the recorded epoch before. From the assignments that a run records (RUN/assignments.parquet).
"""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.drawing import draw, style
from analysis.drawing.captions import BANDS, seeds_note_of
from analysis.figures.base import Numbers
from analysis.inputs.groups import Group
from analysis.inputs.inputs import Absent, Inputs
from analysis.inputs.logged import ASSIGNMENTS


def measure(inputs: Inputs) -> Numbers:
    """A row for each student, seed and epoch of the comparison with most recorded students. Absent: none was recorded."""
    comparisons = [c for c in inputs.comparisons() if any(recorded(g) for g in c.groups.values())]
    if not comparisons:
        raise Absent(
            f"it needs runs that recorded their assignments: no given run has a {ASSIGNMENTS} of two epochs or more"
        )
    comparison = max(comparisons, key=lambda c: sum(recorded(g) is not None for g in c.groups.values()))
    groups = {kind: part for kind, group in comparison.groups.items() if (part := recorded(group))}
    rows = [
        {"who": kind, "seed": row.seed, **epoch}
        for kind, group in groups.items()
        for row in group.rows
        for epoch in row.logged["epochs"]
    ]
    about = f"Instability of the matching between recorded epochs in the last decoder layer, {comparison.label}"
    return Numbers(rows, f"{about}{comparison.schedule}; {seeds_note_of(list(groups.values()), BANDS)}.")


def recorded(group: Group) -> Group | None:
    """The rows of the group that recorded at least two epochs; None if there are none."""
    rows = tuple(row for row in group.rows if row.logged["epochs"])
    return Group(rows) if rows else None


def make(numbers: Numbers) -> Figure:
    """A curve for each student, over the epochs that all its seeds recorded."""
    figure = Figure(figsize=style.size(2.0))
    ax = figure.subplots()
    for role in ("student", "distilled"):
        rows = [row for row in numbers.rows if row["who"] == role]
        seeds = list(dict.fromkeys(row["seed"] for row in rows))
        if seeds:
            values = [[row["instability"] for row in rows if row["seed"] == seed] for seed in seeds]
            epochs = [row["epoch"] for row in rows if row["seed"] == seeds[0]][: min(map(len, values))]
            values = [v[: len(epochs)] for v in values]
            draw.curve(ax, epochs, values, label=style.ROLE_NAMES[role], look=style.ROLE_STYLES[role])
    ax.set(xlabel="epoch", ylabel="instability per image", ylim=(0, None))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="best")
    return figure
