"""Figure 5: the teacher's decoder stages that teach each stage of the student."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from analysis.drawing import style
from analysis.figures.base import Numbers
from analysis.inputs.inputs import Inputs
from core.losses._layer_mapping import layer_pairs

PRINTED = (6, 3)  # stages (decoder layers) of teacher and student in the paper's figure
COLOURS = {"teacher": style.TEACHER, "student": style.DISTILLED}


def measure(inputs: Inputs) -> Numbers:
    """A row for each pair of stages, for the paper's depths and those of every distilled run."""
    depths = {PRINTED: "as in the paper"}
    for row in inputs.runs:
        if row.kind == "distilled":
            distiller = inputs.open_run(row).distiller
            assert distiller.teacher is not None, "a distilled run has a teacher"
            pair = distiller.teacher.config.layers, distiller.student.config.layers
            depths[pair] = depths.get(pair, f"as in the run {row.name}")
    rows = [
        {"panel": panel, "teacher_stages": t, "student_stages": s, "teacher": of_teacher + 1, "student": of_student + 1}
        for (t, s), panel in depths.items()
        for of_student, of_teacher in layer_pairs(s, t)
    ]
    rule = "the stages of the deeper decoder are divided evenly, and every pair is compared"
    return Numbers(rows, f"Pairs of decoder stages (layers) in the losses logits and prior: {rule}.")


def make(numbers: Numbers) -> Figure:
    """A panel for each pair of depths."""
    panels = list(dict.fromkeys((r["teacher_stages"], r["student_stages"], r["panel"]) for r in numbers.rows))
    figure = Figure(figsize=style.size(1.5, columns=min(2, len(panels))))
    for ax, (teacher, student, panel) in zip(figure.subplots(1, len(panels), squeeze=False).ravel(), panels):
        links = [(r["teacher"], r["student"]) for r in numbers.rows if r["panel"] == panel]
        mapping(ax, teacher, student, links)
        ax.set_title(f"{teacher} stages teach {student}, {panel}")
    return figure


def mapping(ax: Axes, teacher: int, student: int, links: list[tuple[int, int]]) -> Axes:
    """Draws numbered stages of teacher (above) and student (below), and an arrow for each (teacher, student) link."""
    wide = max(teacher, student)
    x = {"teacher": lambda k: (k - 0.5) * wide / teacher, "student": lambda k: (k - 0.5) * wide / student}
    for from_stage, to_stage in links:
        start, end = (x["teacher"](from_stage), 0.78), (x["student"](to_stage), 0.22)
        ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=7, color="#555555", linewidth=0.9))
    shape: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.06", "mutation_aspect": 0.3}
    for role, count, y in (("teacher", teacher, 0.78), ("student", student, 0.0)):
        for k in range(1, count + 1):
            corner = (x[role](k) - 0.36, y)
            ax.add_patch(FancyBboxPatch(corner, 0.72, 0.22, facecolor=COLOURS[role], linewidth=0, **shape))
            ink = "black" if role == "teacher" else "white"
            ax.text(x[role](k), y + 0.11, str(k), ha="center", va="center", color=ink, fontsize=7)
        ax.text(-0.15, y + 0.11, role, ha="right", va="center", fontsize=7)
    ax.set(xlim=(-0.1, wide + 0.1), ylim=(-0.03, 1.03))
    ax.axis("off")
    return ax
