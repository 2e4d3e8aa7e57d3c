"""AP by the exponent gamma of query quality, q = score^gamma x IoU^(1 - gamma).

Eq. 8 of DETRDistill (arXiv 2211.10156); the option `gamma` of the loss `features`.
"""

from statistics import mean

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import BANDS, seeds_note_of
from analysis.figures.base import Numbers
from analysis.inputs.inputs import Absent, Inputs
from analysis.inputs.rows import Row, detector_title


def measure(inputs: Inputs) -> Numbers:
    """A row for each gamma and seed of the longest sweep, and for the student alone (gamma None). Absent: no sweep."""
    inputs = inputs.with_ap()
    sweep = next(iter(inputs.sweeps("features.gamma")), {})
    if len(sweep) < 2:
        raise Absent("it needs runs that differ in losses.features.gamma and in nothing else, such as a study of gamma")
    first = next(iter(sweep.values())).first
    by_gamma = sorted(sweep.items(), key=lambda item: float(str(item[0])))
    rows = [csv_row(gamma, row) for gamma, group in by_gamma for row in group.rows]
    trained_alone = inputs.groups(lambda row: row.losses == frozenset())
    alone = [group for group in trained_alone if group.first.training_key == first.training_key]
    rows += [csv_row(None, row) for group in alone[:1] for row in group.rows]
    names = " + ".join(sorted(first.losses or ()))
    about = f"AP of {detector_title(first.detector)} distilled with {names} on {first.data}"
    return Numbers(rows, f"{about}; {seeds_note_of(list(sweep.values()), BANDS)}. {outcome(rows)}")


def csv_row(gamma: object, row: Row) -> dict:
    """AP of one training in points."""
    return {"gamma": gamma, "seed": row.seed, "ap": 100 * row.result["ap"]}


def outcome(rows: list[dict]) -> str:
    """The best and the worst gamma, by mean AP over seeds."""
    aps: dict[float, list[float]] = {}
    for row in rows:
        if row["gamma"] is not None:
            aps.setdefault(row["gamma"], []).append(row["ap"])
    means = {gamma: sum(values) / len(values) for gamma, values in aps.items()}
    best, worst = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    return f"Highest at gamma {best:g} (AP {means[best]:.1f}), lowest at {worst:g} ({means[worst]:.1f})."


def make(numbers: Numbers) -> Figure:
    """A curve over gamma, and a line for the student alone."""
    figure = Figure(figsize=style.size(2.0))
    ax = figure.subplots()
    by_seed: dict[int, dict] = {}
    for row in numbers.rows:
        by_seed.setdefault(row["seed"], {})[row["gamma"]] = row["ap"]
    alone = [aps[None] for aps in by_seed.values() if None in aps]
    distilled = [aps for aps in by_seed.values() if set(aps) - {None}]
    gammas = sorted(set.intersection(*({g for g in aps if g is not None} for aps in distilled)))
    curves = [[aps[g] for g in gammas] for aps in distilled]
    draw.curve(ax, gammas, curves, label=style.ROLE_NAMES["distilled"], look=style.ROLE_STYLES["distilled"])
    if alone:
        draw.level(ax, mean(alone), label=style.ROLE_NAMES["student"], look=style.ROLE_STYLES["student"])
    ax.set(xlabel="γ (0: IoU only, 1: score only)", ylabel="AP", xticks=gammas)
    ax.margins(x=0.06, y=0.25)
    ax.legend(loc="best")
    return figure
