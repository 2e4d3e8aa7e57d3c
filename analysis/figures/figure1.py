"""Figure 1: AP of the teacher, the student alone and the distilled student.

The paper's figure has AdaMixer, Deformable DETR and Conditional DETR on COCO.
"""

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import data_names, seeds_note, signed
from analysis.figures.base import Numbers
from analysis.inputs.groups import with_distinct_labels
from analysis.inputs.inputs import Absent, Inputs
from analysis.inputs.rows import detector_title


def measure(inputs: Inputs) -> Numbers:
    """Three rows (teacher, student, distilled) for each complete comparison. Absent: there is none."""
    comparisons = [c for c in inputs.with_ap().comparisons() if c.complete and (c.teacher_scores or {}).get("ap")]
    if not comparisons:
        raise Absent("it needs a student alone and the same student distilled: give both runs, or a study of both")
    rows = []
    for comparison in with_distinct_labels(comparisons):
        first, teacher = comparison.first, comparison.teacher_scores or {}
        about = {"data": first.data + comparison.note, "detector": detector_title(first.detector)}
        rows.append(about | {"who": "teacher", "ap": 100 * teacher["ap"], "spread": None, "seeds": 1})
        for kind, group in comparison.groups.items():
            ap, spread = group.mean(), group.spread()
            assert ap is not None, "all rows have an AP"
            numbers = {"ap": 100 * ap, "spread": spread and 100 * spread, "seeds": len(group.rows)}
            rows.append(about | {"who": kind} | numbers)
    return Numbers(rows, f"AP on {data_names(comparisons)}; {seeds_note(comparisons)}. {gains(rows)}")


def gains(rows: list[dict]) -> str:
    """A clause for each comparison: the gain of distillation, and whether the distilled student exceeds its teacher."""
    clauses = []
    for teacher, student, distilled in zip(*[iter(rows)] * 3):
        relation = "exceeds" if distilled["ap"] > teacher["ap"] else "stays below"
        clauses.append(
            f"{distilled['detector']} on {distilled['data']}: the gain of distillation is "
            f"{signed(distilled['ap'] - student['ap'], 1)} AP, and the distilled student {relation} its teacher "
            f"({distilled['ap']:.1f} against {teacher['ap']:.1f})"
        )
    return "; ".join(clauses) + "."


def make(numbers: Numbers) -> Figure:
    """Three bars for each detector and dataset."""
    places = list(dict.fromkeys((r["detector"], r["data"]) for r in numbers.rows))
    several = len({data for _, data in places}) > 1
    figure = Figure(figsize=style.size(2.4 if several else 2.2, columns=1 if len(places) < 2 + (not several) else 2))
    ax = figure.subplots()
    series = {}
    for role in ("teacher", "student", "distilled"):
        by_place = {(r["detector"], r["data"]): r for r in numbers.rows if r["who"] == role}
        heights, spreads = ([by_place[p][key] if p in by_place else None for p in places] for key in ("ap", "spread"))
        series[style.ROLE_NAMES[role]] = heights, spreads, style.ROLE_STYLES[role]
    draw.bars(ax, ["\n".join((d, *data.split(", "))) if several else d for d, data in places], series)
    ax.set_ylabel("AP" if several else f"AP on {places[0][1]}")
    ax.margins(y=0.12)
    figure.legend(loc="outside upper center", ncols=3)
    return figure
