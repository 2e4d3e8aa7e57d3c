"""What each kind of error costs: TIDE's six, side by side."""

from statistics import mean, stdev

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import seeds, where
from analysis.figures.base import Numbers
from analysis.inputs.given import Given
from analysis.inputs.groups import Stand
from core.metrics.tide import KINDS

NAMES = {"cls": "class", "loc": "location", "both": "both", "dupe": "duplicate", "bkg": "background", "miss": "missed"}
MOST = 4  # students on a page
MEANS = (
    "class: on an object, called something else; location: the right class, overlapping too little; both: class and location; "
    "duplicate: a second detection of an object; background: on nothing; missed: an object that nobody found"
)


def measure(given: Given) -> Numbers:
    stands = given.measurable()[:MOST]
    rows = [row for stand in stands for row in of(stand, given)]
    about = f"What AP50 would gain without each kind of error (TIDE), on {where(stands)}; {seeds(stands)}"
    return Numbers(rows, f"{about}. C{MEANS[1:]}.")


def of(stand: Stand, given: Given) -> list[dict]:
    taught = stand.groups.get("distilled", next(iter(stand.groups.values())))
    teacher = given.measured(taught.first)["teacher"]
    found = {"teacher": [teacher["errors"]]} if teacher else {}
    for kind, group in stand.groups.items():
        found[kind] = [given.measured(row)["student"]["errors"] for row in group.rows]
    return [row(stand.label, who, kind, runs) for who, runs in found.items() for kind in KINDS]


def row(panel: str, who: str, kind: str, runs: list[dict]) -> dict:
    costs = [100 * run[kind] for run in runs]
    spread = stdev(costs) if len(costs) > 1 else None
    count = mean(run["counts"][kind] for run in runs)
    return {"panel": panel, "who": who, "kind": kind, "cost": mean(costs), "spread": spread, "count": count}


def make(numbers: Numbers) -> Figure:
    panels = list(dict.fromkeys(row["panel"] for row in numbers.rows))
    figure = Figure(figsize=style.size(2.0 * len(panels), columns=2))
    for ax, panel in zip(figure.subplots(len(panels), 1, squeeze=False).ravel(), panels):
        series = {}
        for who in ("teacher", "student", "distilled"):
            mine = {r["kind"]: r for r in numbers.rows if (r["panel"], r["who"]) == (panel, who)}
            if mine:
                heights, spreads = ([mine[kind][key] for kind in KINDS] for key in ("cost", "spread"))
                series[style.TITLES[who]] = heights, spreads, style.LOOKS[who]
        draw.bars(ax, [NAMES[kind] for kind in KINDS], series)
        ax.set(ylabel="cost in AP50", title=panel if len(panels) > 1 else "")
        ax.margins(x=0.02, y=0.12)
        ax.legend()
    return figure
