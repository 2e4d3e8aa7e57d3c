"""How much the matching changes from one epoch to the next, over training.

IS of DN-DETR: how many queries of an image answer for another object in the last decoder stage than one recorded epoch
earlier. From the assignments that a run records (RUN/assignments.parquet).
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis import draw, style
from analysis.captions import of_seeds
from analysis.given import Absent, Given, Group, Row
from analysis.numbers import Numbers
from core.measures import instability

FILE = "assignments.parquet"


def measure(given: Given) -> Numbers:
    stands = [stand for stand in given.stands() if any(recorded(g) for g in stand.groups.values())]
    if not stands:
        raise Absent(f"it needs runs that recorded their assignments: no given run has a {FILE} of two epochs or more")
    groups = {kind: recorded(group) for kind, group in stands[0].groups.items() if recorded(group)}
    rows = [
        {"who": kind, "seed": row.seed, "epoch": epoch, "instability": value}
        for kind, group in groups.items()
        for row in group.rows
        for epoch, value in by_epoch(row).items()
    ]
    spread = of_seeds(list(groups.values()), "bands from the lowest to the highest")
    return Numbers(rows, f"Instability between epochs, last stage, on {stands[0].label}; {spread}.")


def recorded(group: Group) -> Group | None:
    """The rows that have recorded at least two epochs."""
    rows = tuple(row for row in group.rows if row.folder and (row.folder / FILE).exists() and by_epoch(row))
    return Group(rows) if rows else None


def by_epoch(row: Row) -> dict[int, float]:
    """IS of each recorded epoch against the one before."""
    table = pd.read_parquet(row.folder / FILE, columns=["who", "epoch", "image", "layer", "query", "object"])
    table = table[(table["who"] == "student") & (table["layer"] == table["layer"].max())]
    places = {image: k for k, image in enumerate(sorted(table["image"].unique()))}
    shape, epochs = (len(places), int(table["query"].max()) + 1), {}
    for epoch, part in table.groupby("epoch"):
        epochs[int(epoch)] = v = np.full(shape, -1)
        v[part["image"].map(places).to_numpy(), part["query"].to_numpy()] = part["object"].to_numpy()
    order = sorted(epochs)
    return {now: float(instability(epochs[now], epochs[old])) for old, now in zip(order, order[1:])}


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
