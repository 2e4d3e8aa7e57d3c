"""Whether student and teacher say the same: pairs that are compared in training, stage by stage."""

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import of_seeds
from analysis.figures.base import Numbers
from analysis.inputs.given import Absent, Given

PARTS = {"class": "the same class", "iou": "IoU of their boxes", "object": "the same true object"}
LOOKS = {
    "class": {"color": style.DISTILLED, "marker": "D", "linestyle": "-"},
    "iou": {"color": style.MATCH, "marker": "o", "linestyle": (0, (4, 1.5))},
    "object": {"color": style.TRUTH, "marker": "^", "linestyle": (0, (1, 1))},
}


def measure(given: Given) -> Numbers:
    stands = [stand for stand in given.measurable() if "distilled" in stand.groups]
    if not stands:
        raise Absent("it needs a run that had a teacher")
    group = stands[0].groups["distilled"]
    found = {row.seed: given.measured(row)["agreement"] for row in group.rows}
    rows = [
        {"seed": seed, "stage": k, **{part: told[part][k - 1] for part in PARTS}}
        for seed, told in found.items()
        for k in range(1, 1 + len(told["class"]))
        if told["class"][k - 1] is not None
    ]
    about = f"Of the pairs that the loss logits makes of teacher queries with an object, on {stands[0].label}"
    return Numbers(rows, f"{about}; {of_seeds([group], 'bands from the lowest to the highest')}.")


def make(numbers: Numbers) -> Figure:
    figure = Figure(figsize=style.size(2.0))
    ax, stages = figure.subplots(), sorted({row["stage"] for row in numbers.rows})
    seeds = list(dict.fromkeys(row["seed"] for row in numbers.rows))
    for part, label in PARTS.items():
        values = [[row[part] for row in numbers.rows if row["seed"] == seed] for seed in seeds]
        draw.curve(ax, stages, values, label=label, look=LOOKS[part])
    ax.set(xlabel="decoder stage of the student", ylabel="share, or mean", ylim=(0, 1.02), xticks=stages)
    ax.margins(x=0.1)
    ax.legend(loc="lower right")
    return figure
