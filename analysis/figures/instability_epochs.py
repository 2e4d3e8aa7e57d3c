"""How much the matching changes from one epoch to the next, over training.

IS of DN-DETR: how many queries of an image answer for another object in the last decoder stage than one recorded epoch
earlier. From the assignments that a run records (RUN/assignments.parquet).
"""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.drawing import draw, style
from analysis.drawing.captions import of_seeds
from analysis.figures.base import Numbers
from analysis.inputs.given import Absent, Given
from analysis.inputs.groups import Group
from analysis.inputs.logged import ASSIGNMENTS


def measure(given: Given) -> Numbers:
    stands = [stand for stand in given.stands() if any(recorded(g) for g in stand.groups.values())]
    if not stands:
        raise Absent(
            f"it needs runs that recorded their assignments: no given run has a {ASSIGNMENTS} of two epochs or more"
        )
    stand = max(stands, key=lambda stand: sum(recorded(g) is not None for g in stand.groups.values()))
    groups = {kind: recorded(group) for kind, group in stand.groups.items() if recorded(group)}
    rows = [
        {"who": kind, "seed": row.seed, **told}
        for kind, group in groups.items()
        for row in group.rows
        for told in row.logged["epochs"]
    ]
    spread = of_seeds(list(groups.values()), "bands from the lowest to the highest")
    return Numbers(rows, f"Instability between epochs, last stage, on {stand.label}{stand.schedule}; {spread}.")


def recorded(group: Group) -> Group | None:
    """The rows that have recorded at least two epochs."""
    rows = tuple(row for row in group.rows if row.logged["epochs"])
    return Group(rows) if rows else None


def make(numbers: Numbers) -> Figure:
    figure = Figure(figsize=style.size(2.0))
    ax = figure.subplots()
    for who in ("student", "distilled"):
        mine = [row for row in numbers.rows if row["who"] == who]
        seeds = list(dict.fromkeys(row["seed"] for row in mine))
        if seeds:
            values = [[row["instability"] for row in mine if row["seed"] == seed] for seed in seeds]
            epochs = [row["epoch"] for row in mine if row["seed"] == seeds[0]][: min(map(len, values))]
            draw.curve(ax, epochs, [v[: len(epochs)] for v in values], label=style.TITLES[who], look=style.LOOKS[who])
    ax.set(xlabel="epoch", ylabel="instability per image", ylim=(0, None))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return figure
