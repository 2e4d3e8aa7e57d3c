"""The exponent of quality: AP over gamma of Eq. 8, q = score^gamma x IoU^(1 - gamma)."""

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import of_seeds
from analysis.figures.base import Numbers
from analysis.inputs.given import Absent, Given
from analysis.inputs.rows import title


def measure(given: Given) -> Numbers:
    sweep = next(iter(given.sweeps("features.gamma")), {})
    if len(sweep) < 2:
        raise Absent("it needs runs that differ in losses.features.gamma and in nothing else, such as a study of gamma")
    first = next(iter(sweep.values())).first
    pairs = [(gamma, row) for gamma, group in sorted(sweep.items()) for row in group.rows]
    rows = [{"gamma": gamma, "seed": row.seed, "ap": 100 * row.scores()} for gamma, row in pairs]
    alone = [g for g in given.groups(lambda row: row.losses == frozenset()) if g.first.training == first.training]
    rows += [{"gamma": None, "seed": row.seed, "ap": 100 * row.scores()} for group in alone[:1] for row in group.rows]
    names = " + ".join(sorted(first.losses))
    spread = of_seeds(list(sweep.values()), "bands from the lowest to the highest")
    return Numbers(
        rows, f"AP of {title(first.detector)} distilled by {names} on {first.data}; {spread}. {outcome(rows)}"
    )


def outcome(rows: list[dict]) -> str:
    by: dict[float, list[float]] = {}
    for row in rows:
        if row["gamma"] is not None:
            by.setdefault(row["gamma"], []).append(row["ap"])
    means = {gamma: sum(aps) / len(aps) for gamma, aps in by.items()}
    best, worst = max(means, key=means.get), min(means, key=means.get)
    return f"Best at gamma {best:g} (AP {means[best]:.1f}), worst at {worst:g} ({means[worst]:.1f})."


def make(numbers: Numbers) -> Figure:
    figure = Figure(figsize=style.size(2.0))
    ax = figure.subplots()
    by: dict[int, dict] = {}
    for row in numbers.rows:
        by.setdefault(row["seed"], {})[row["gamma"]] = row["ap"]
    alone = [aps[None] for aps in by.values() if None in aps]
    places = sorted(set.intersection(*({g for g in aps if g is not None} for aps in by.values() if set(aps) - {None})))
    curves = [[aps[g] for g in places] for aps in by.values() if set(aps) - {None}]
    draw.curve(ax, places, curves, label=style.TITLES["distilled"], look=style.LOOKS["distilled"])
    if alone:
        draw.level(ax, sum(alone) / len(alone), label=style.TITLES["student"], look=style.LOOKS["student"])
    ax.set(xlabel="γ: 0 is IoU alone, 1 is the score alone", ylabel="AP", xticks=places)
    ax.margins(x=0.06, y=0.25)
    ax.legend()
    return figure
