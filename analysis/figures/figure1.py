"""Figure 1: what distilling gives each detector.

Bars of teacher, student and distilled student; the paper's has AdaMixer, Deformable DETR and Conditional DETR on COCO.
"""

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import seeds, signed, where
from analysis.figures.base import Numbers
from analysis.inputs.given import Absent, Given
from analysis.inputs.groups import apart
from analysis.inputs.rows import title


def measure(given: Given) -> Numbers:
    stands = apart([stand for stand in given.stands() if stand.whole and stand.teacher])
    if not stands:
        raise Absent("it needs a student alone and the same student distilled: give both runs, or a study of both")
    rows = []
    for stand in stands:
        about = {"data": stand.first.data + stand.note, "detector": title(stand.first.detector)}
        rows.append(about | {"who": "teacher", "ap": 100 * stand.teacher["ap"], "spread": None, "seeds": 1})
        for kind, group in stand.groups.items():
            spread = group.spread()
            numbers = {"ap": 100 * group.mean(), "spread": spread and 100 * spread, "seeds": len(group.rows)}
            rows.append(about | {"who": kind} | numbers)
    return Numbers(rows, f"AP on {where(stands)}; {seeds(stands)}. {gains(rows)}")


def gains(rows: list[dict]) -> str:
    """What was gained, and whether the teacher was passed."""
    said = []
    for teacher, student, distilled in zip(*[iter(rows)] * 3):
        passed = "passes" if distilled["ap"] > teacher["ap"] else "stays below"
        said.append(
            f"{distilled['detector']} on {distilled['data']}: distilling gives "
            f"{signed(distilled['ap'] - student['ap'], 1)} AP and the "
            f"student {passed} its teacher ({distilled['ap']:.1f} against {teacher['ap']:.1f})"
        )
    return "; ".join(said) + "."


def make(numbers: Numbers) -> Figure:
    places = list(dict.fromkeys((r["detector"], r["data"]) for r in numbers.rows))
    several = len({data for _, data in places}) > 1
    figure = Figure(figsize=style.size(2.4 if several else 2.2, columns=1 if len(places) < 2 + (not several) else 2))
    ax = figure.subplots()
    series = {}
    for who in ("teacher", "student", "distilled"):
        found = {(r["detector"], r["data"]): r for r in numbers.rows if r["who"] == who}
        heights, spreads = ([found[p][key] if p in found else None for p in places] for key in ("ap", "spread"))
        series[style.TITLES[who]] = heights, spreads, style.LOOKS[who]
    draw.bars(ax, ["\n".join((d, *data.split(", "))) if several else d for d, data in places], series)
    ax.set_ylabel("AP" if several else f"AP on {places[0][1]}")
    ax.margins(y=0.12)
    figure.legend(loc="outside upper center", ncols=3)
    return figure
