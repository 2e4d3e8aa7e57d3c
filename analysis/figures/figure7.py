"""Figure 7: how much the matching changes from one decoder stage to the next.

Instability IS of the student's own queries (PAPER: the count of DN-DETR, between stages): how many queries of an image answer
for another object than one stage earlier; an object that goes from one query to another counts 2.
"""

from statistics import mean

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import seeds, where
from analysis.drawing.panels import grid
from analysis.figures.base import Numbers
from analysis.inputs.given import Absent, Given
from analysis.inputs.groups import Stand


def measure(given: Given) -> Numbers:
    stands = given.measurable()
    rows = [row for stand in stands for row in of(stand, given)]
    if not rows:
        raise Absent("it needs detectors of two decoder layers or more")
    images = {given.measured(row)["images"] for stand in stands for g in stand.groups.values() for row in g.rows}
    about = f"Instability between decoder stages on {where(stands)}, first {max(images)} images at most"
    spread = seeds(stands, "bands from the lowest to the highest")
    return Numbers(rows, f"{about}; {spread}. {outcome(rows)}")


def of(stand: Stand, given: Given) -> list[dict]:
    return [line for who, seed, told in given.sides(stand) for line in lines(stand, who, seed, told["instability"])]


def lines(stand: Stand, who: str, seed: int | None, found: dict) -> list[dict]:
    return [
        {"panel": stand.label, "who": who, "seed": seed, "stage": k, "instability": value, "moved": share}
        for k, (value, share) in enumerate(zip(found["stages"], found["moved"]), start=2)
    ]


def outcome(rows: list[dict]) -> str:
    """The paper's claim, that the distilled student is more stable, as it came out here."""
    said = []
    for panel in dict.fromkeys(row["panel"] for row in rows):
        by = {}
        for row in rows:
            if row["panel"] == panel and row["who"] != "teacher":
                by.setdefault(row["who"], {}).setdefault(row["seed"], []).append(row["instability"])
        if len(by) == 2:
            said.append(
                compared(panel, *({s: mean(v) for s, v in by[who].items()} for who in ("student", "distilled")))
            )
    return " ".join(said)


def compared(panel: str, alone: dict, distilled: dict) -> str:
    a, b = mean(alone.values()), mean(distilled.values())
    both = alone.keys() & distilled.keys()
    less = sum(distilled[seed] < alone[seed] for seed in both)
    told = f"{panel}: mean over stages {a:.2f} alone and {b:.2f} distilled"
    if len(both) < 2:
        return f"{told}; one seed decides nothing."
    verdict = "holds" if less == len(both) else "does not hold" if not less else "is mixed"
    claim = "the claim that distilling makes matching more stable"
    return f"{told}, lower in {less} of {len(both)} seeds; {claim} {verdict}."


def make(numbers: Numbers) -> Figure:
    panels = list(dict.fromkeys(row["panel"] for row in numbers.rows))
    figure, axes = grid(panels, tall=2.0)
    for panel, ax in axes.items():
        for who in ("student", "distilled", "teacher"):
            mine = [row for row in numbers.rows if row["panel"] == panel and row["who"] == who]
            if mine:
                stages = sorted({row["stage"] for row in mine})
                seeds_ = list(dict.fromkeys(row["seed"] for row in mine))
                values = [[r["instability"] for r in mine if r["seed"] == seed] for seed in seeds_]
                draw.curve(ax, stages, values, label=style.TITLES[who], look=style.LOOKS[who])
                ax.set_xticks(stages, [f"{k - 1} to {k}" for k in stages])
        ax.set(xlabel="decoder stages", ylabel="instability per image", ylim=(0, None))
        ax.margins(x=0.12)
        ax.legend()
    return figure
