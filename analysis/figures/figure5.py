"""Figure 5: which decoder stage of the teacher teaches which of the student's."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from analysis.drawing import style
from analysis.figures.base import Numbers
from analysis.inputs.given import Given
from core.losses._layer_mapping import layer_pairs

PRINTED = (6, 3)  # stages of teacher and student in the paper's figure
COLOURS = {"teacher": style.TEACHER, "student": style.DISTILLED}


def measure(given: Given) -> Numbers:
    """The mapping of each depth that a distilled run has, beside the paper's."""
    pairs = {PRINTED: "as in the paper"}
    for row in given.runs:
        if row.kind == "distilled":
            opened = given.opened(row).distiller
            depths = opened.teacher.config.layers, opened.student.config.layers
            pairs[depths] = pairs.get(depths, f"as in the run {row.name}")
    rows = [
        {"panel": why, "teacher_stages": t, "student_stages": s, "teacher": theirs + 1, "student": mine + 1}
        for (t, s), why in pairs.items()
        for mine, theirs in layer_pairs(s, t)
    ]
    told = (
        "the deeper one's stages are grouped evenly, and each stage of a group counts (their sum, or as the run says)"
    )
    return Numbers(rows, f"Stages that meet in the losses logits and prior: {told}.")


def make(numbers: Numbers) -> Figure:
    panels = list(dict.fromkeys((r["teacher_stages"], r["student_stages"], r["panel"]) for r in numbers.rows))
    figure = Figure(figsize=style.size(1.5, columns=min(2, len(panels))))
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False).ravel(), panels):
        links = [(r["teacher"], r["student"]) for r in numbers.rows if r["panel"] == panel[2]]
        mapping(ax, panel[0], panel[1], links)
        ax.set_title(f"{panel[0]} stages teach {panel[1]}, {panel[2]}")
    return figure


def mapping(ax: Axes, teacher: int, student: int, links: list[tuple[int, int]]) -> Axes:
    wide = max(teacher, student)
    place = {"teacher": lambda k: (k - 0.5) * wide / teacher, "student": lambda k: (k - 0.5) * wide / student}
    for mine, yours in links:
        ends = (place["teacher"](mine), 0.78), (place["student"](yours), 0.22)
        ax.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=7, color="#555555", linewidth=0.9))
    for who, count, y in (("teacher", teacher, 0.78), ("student", student, 0)):
        for k in range(1, count + 1):
            corner = (place[who](k) - 0.36, y)
            look = {"boxstyle": "round,pad=0,rounding_size=0.06", "linewidth": 0, "mutation_aspect": 0.3}
            ax.add_patch(FancyBboxPatch(corner, 0.72, 0.22, facecolor=COLOURS[who], **look))
            ink = "black" if who == "teacher" else "white"
            ax.text(place[who](k), y + 0.11, str(k), ha="center", va="center", color=ink, fontsize=7)
        ax.text(-0.15, y + 0.11, who, ha="right", va="center", fontsize=7)
    ax.set(xlim=(-0.1, wide + 0.1), ylim=(-0.03, 1.03))
    ax.axis("off")
    return ax
