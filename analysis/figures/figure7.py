"""Figure 7: instability of the matching between decoder stages.

Instability IS (DN-DETR's count, arXiv 2203.01305, between stages instead of epochs): the number of queries of an image whose
object is another than one stage before. An object that changes its query counts 2.
"""

from statistics import mean

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import BANDS, data_names, seeds_note
from analysis.drawing.panels import grid
from analysis.figures.base import Numbers
from analysis.inputs.groups import Comparison
from analysis.inputs.inputs import Absent, Inputs


def measure(inputs: Inputs) -> Numbers:
    """A row for each detector, seed and stage after the first. Absent: nothing was measured, or there is one stage only."""
    comparisons = inputs.measurable_comparisons()
    rows = [row for comparison in comparisons for row in rows_of(comparison, inputs)]
    if not rows:
        raise Absent("it needs detectors of two decoder layers or more")
    images = {inputs.measurements(row)["images"] for c in comparisons for g in c.groups.values() for row in g.rows}
    about = f"Instability between decoder stages on {data_names(comparisons)}, at most the first {max(images)} validation images"
    return Numbers(rows, f"{about}; {seeds_note(comparisons, BANDS)}. {outcome(rows)}")


def rows_of(comparison: Comparison, inputs: Inputs) -> list[dict]:
    """The rows of one comparison."""
    rows = []
    for role, seed, measurements in inputs.measurements_by_role(comparison):
        about = {"panel": comparison.label, "who": role, "seed": seed}
        instability = measurements["instability"]
        for stage, (value, moved) in enumerate(zip(instability["stages"], instability["moved"]), start=2):
            rows.append(about | {"stage": stage, "instability": value, "moved": moved})
    return rows


def outcome(rows: list[dict]) -> str:
    """A sentence for each panel with both students: whether the distilled one is more stable, as the paper claims."""
    sentences = []
    for panel in dict.fromkeys(row["panel"] for row in rows):
        by_role: dict[str, dict[int, list[float]]] = {}
        for row in rows:
            if row["panel"] == panel and row["who"] != "teacher":
                by_role.setdefault(row["who"], {}).setdefault(row["seed"], []).append(row["instability"])
        if len(by_role) == 2:
            alone, distilled = ({s: mean(v) for s, v in by_role[role].items()} for role in ("student", "distilled"))
            sentences.append(compared(panel, alone, distilled))
    return " ".join(sentences)


def compared(panel: str, alone: dict[int, float], distilled: dict[int, float]) -> str:
    """A sentence on mean instability by seed, and whether the paper's claim holds."""
    means = f"{mean(alone.values()):.2f} alone and {mean(distilled.values()):.2f} distilled"
    both = alone.keys() & distilled.keys()
    lower = sum(distilled[seed] < alone[seed] for seed in both)
    if len(both) < 2:
        return f"{panel}: mean over stages {means}; one seed is not enough for a conclusion."
    verdict = "is supported" if lower == len(both) else "is not supported" if not lower else "is supported in part"
    claim = "the claim that distillation makes the matching more stable"
    return f"{panel}: mean over stages {means}, lower in {lower} of {len(both)} seeds; {claim} {verdict}."


def make(numbers: Numbers) -> Figure:
    """A panel for each comparison, a curve for each role."""
    figure, axes = grid(list(dict.fromkeys(row["panel"] for row in numbers.rows)), height=2.0)
    for panel, ax in axes.items():
        for role in ("student", "distilled", "teacher"):
            rows = [row for row in numbers.rows if row["panel"] == panel and row["who"] == role]
            if rows:
                stages = sorted({row["stage"] for row in rows})
                seeds = list(dict.fromkeys(row["seed"] for row in rows))
                values = [[r["instability"] for r in rows if r["seed"] == seed] for seed in seeds]
                draw.curve(ax, stages, values, label=style.ROLE_NAMES[role], look=style.ROLE_STYLES[role])
                ax.set_xticks(stages, [f"{k - 1} to {k}" for k in stages])
        ax.set(xlabel="decoder stages", ylabel="instability per image", ylim=(0, None))
        ax.margins(x=0.12)
        ax.legend(loc="best")
    return figure
