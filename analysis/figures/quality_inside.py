"""Whether good queries look at objects: quality against the mass of the mask inside true boxes.

Quality is q* = (best class score)^0.5 x (best IoU with the truth)^0.5, which every query has; the mask is that of Eq. 7 with
cosines floored at 0, in the last layer, over the levels of the features.
"""

from statistics import mean

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import seeds, signed, where
from analysis.drawing.panels import grid
from analysis.figures.base import Numbers
from analysis.inputs.given import Given
from analysis.inputs.groups import Stand
from analysis.query_table.measure import BINS

FEW = 20  # queries in a bin, below which its mean is not shown


def measure(given: Given) -> Numbers:
    stands = given.measurable()
    rows = [row for stand in stands for row in of(stand, given)]
    about = f"Share of a query's mask inside true boxes, by its quality q*, on {where(stands)}"
    spread = seeds(stands, "bands from the lowest to the highest")
    dotted = "dotted grey: a mask that is the same everywhere"
    return Numbers(rows, f"{about}; {spread}; {dotted}. {outcome(rows)}")


def of(stand: Stand, given: Given) -> list[dict]:
    return [line for who, seed, told in given.sides(stand) for line in lines(stand, who, seed, told["looks"])]


def lines(stand: Stand, who: str, seed: int | None, looks: dict) -> list[dict]:
    about = {"panel": stand.label, "who": who, "seed": seed}
    about |= {key: looks[key] for key in ("correlation", "error", "images", "area")}
    return [
        about | {"quality": (k + 0.5) / BINS, "inside": looks["inside"][k], "queries": looks["count"][k]}
        for k in range(BINS)
        if looks["count"][k] >= FEW
    ]


def outcome(rows: list[dict]) -> str:
    """The claim of the paper's Figure 4 as it came out here."""
    said = []
    for panel in dict.fromkeys(row["panel"] for row in rows):
        told = []
        for who in ("teacher", "student", "distilled"):
            runs = {row["seed"]: row for row in rows if row["panel"] == panel and row["who"] == who}
            if runs:
                each = [row["correlation"] for row in runs.values()]
                told.append(f"{style.TITLES[who]} {signed(mean(each))} ({verdict(list(runs.values()))})")
        said.append(f"{panel}: {', '.join(told)}.")
    head = "Rank correlation of quality with mass inside, mean over images, and whether it is above 0: "
    return head + " ".join(said)


def verdict(runs: list[dict]) -> str:
    """Above or below 0 by more than two standard errors over images, in how many seeds."""
    above = sum(r["correlation"] > 2 * r["error"] for r in runs)
    below = sum(r["correlation"] < -2 * r["error"] for r in runs)
    if len(runs) == 1:
        return "above" if above else "below" if below else "not separable"
    return f"above in {above} of {len(runs)} seeds" + (f", below in {below}" if below else "")


def make(numbers: Numbers) -> Figure:
    panels = list(dict.fromkeys(row["panel"] for row in numbers.rows))
    figure, axes = grid(panels, tall=2.1)
    for panel, ax in axes.items():
        rows = [row for row in numbers.rows if row["panel"] == panel]
        for who in ("student", "distilled", "teacher"):
            curve(ax, who, [row for row in rows if row["who"] == who])
        ax.axhline(mean(row["area"] for row in rows), color="#888888", linestyle=(0, (1, 2)), linewidth=1)
        ax.set(xlabel="quality q*", ylabel="share of mass inside boxes", xlim=(0, 1), ylim=(0, 1.05))
        ax.legend(loc="upper left")
    return figure


def curve(ax, who: str, rows: list[dict]) -> None:
    """Over the bins that every seed has."""
    runs = {row["seed"]: row["correlation"] for row in rows}
    by = {seed: {r["quality"]: r["inside"] for r in rows if r["seed"] == seed} for seed in runs}
    if places := sorted(set.intersection(*(set(x) for x in by.values()))) if by else []:
        label = f"{style.TITLES[who]}, ρ = {mean(runs.values()):.2f}".replace("-", "−")
        draw.curve(ax, places, [[x[p] for p in places] for x in by.values()], label=label, look=style.LOOKS[who])
