"""Agreement of matched student and teacher queries, by decoder layer."""

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import BANDS, seeds_note_of
from analysis.figures.base import Numbers
from analysis.inputs.inputs import Absent, Inputs

PARTS = {"class": "the same class", "iou": "IoU of their boxes", "object": "the same true object"}
STYLES: dict[str, draw.Style] = {
    "class": {"color": style.DISTILLED, "marker": "D", "linestyle": "-"},
    "iou": {"color": style.MATCH, "marker": "o", "linestyle": (0, (4, 1.5))},
    "object": {"color": style.TRUTH, "marker": "^", "linestyle": (0, (1, 1))},
}


def measure(inputs: Inputs) -> Numbers:
    """A row for each seed and decoder layer ("stage") of the first distilled student.

    Absent: there is none, or no image has objects.
    """
    comparisons = [c for c in inputs.measurable_comparisons() if "distilled" in c.groups]
    if not comparisons:
        raise Absent("it needs a run that had a teacher")
    group = comparisons[0].groups["distilled"]
    by_seed = {row.seed: inputs.measurements(row)["agreement"] for row in group.rows}
    rows = [
        {"seed": seed, "stage": k, **{part: agreement[part][k - 1] for part in PARTS}}
        for seed, agreement in by_seed.items()
        for k in range(1, 1 + len(agreement["class"]))
        if agreement["class"][k - 1] is not None
    ]
    if not rows:
        raise Absent("it needs images with objects that the teacher's queries are matched with")
    pairs = "over the pairs of the loss logits in which the teacher's query is matched with an object"
    about = f"Agreement of student and teacher queries, {pairs}, on {comparisons[0].label}"
    return Numbers(rows, f"{about}; {seeds_note_of([group], BANDS)}.")


def make(numbers: Numbers) -> Figure:
    """A curve for each part of the agreement, over the student's decoder layers."""
    figure = Figure(figsize=style.size(2.0))
    ax, layers = figure.subplots(), sorted({row["stage"] for row in numbers.rows})
    seeds = list(dict.fromkeys(row["seed"] for row in numbers.rows))
    for part, label in PARTS.items():
        values = [[row[part] for row in numbers.rows if row["seed"] == seed] for seed in seeds]
        draw.curve(ax, layers, values, label=label, look=STYLES[part])
    ax.set(xlabel="decoder layer of the student", ylabel="share, or mean IoU", ylim=(0, 1.02), xticks=layers)
    ax.margins(x=0.1)
    ax.legend(loc="lower right")
    return figure
