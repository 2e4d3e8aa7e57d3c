"""Whether a score is the chance of being right: detections by score, and the share of them that found an object."""

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import where
from analysis.figures.base import Numbers
from analysis.inputs.given import Given
from analysis.inputs.groups import Stand

FEW = 20  # detections in a bin, below which its share is not shown


def measure(given: Given) -> Numbers:
    stands = given.measurable()[:3]
    rows = [row for stand in stands for row in of(stand, given)]
    about = f"Detections of all scores on {where(stands)}, of the first seed, at IoU 0.5; on the grey line scores are chances"
    return Numbers(rows, f"{about}; in brackets the expected calibration error.")


def of(stand: Stand, given: Given) -> list[dict]:
    found = {}
    for kind, group in stand.groups.items():
        told = given.measured(group.first)
        found[kind] = told["student"]["calibration"]
        found |= {"teacher": told["teacher"]["calibration"]} if told["teacher"] else {}
    return [row for who, told in found.items() for row in lines(stand.label, who, told)]


def lines(panel: str, who: str, told: dict) -> list[dict]:
    about = {"panel": panel, "who": who, "error": told["error"]}
    bins = zip(told["count"], told["score"], told["right"])
    return [about | {"score": s, "right": r, "detections": n} for n, s, r in bins if n >= FEW]


def make(numbers: Numbers) -> Figure:
    panels = list(dict.fromkeys(row["panel"] for row in numbers.rows))
    figure = Figure(figsize=style.size(2.4, columns=min(2, len(panels))))
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False).ravel(), panels):
        ax.plot([0, 1], [0, 1], color="#AAAAAA", linewidth=0.8, label="_chance")
        for who in ("student", "distilled", "teacher"):
            mine = [r for r in numbers.rows if (r["panel"], r["who"]) == (panel, who)]
            if mine:
                label = f"{style.TITLES[who]} ({mine[0]['error']:.3f})"
                x, y = ([r[key] for r in mine] for key in ("score", "right"))
                draw.curve(ax, x, [y], label=label, look=style.LOOKS[who])
        ax.set(xlabel="score", ylabel="share that found an object", xlim=(0, 1), ylim=(0, 1.02))
        ax.set_title(panel if len(panels) > 1 else "")
        ax.legend(loc="upper left")
    return figure
