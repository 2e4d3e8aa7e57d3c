"""Which loss drives the student: the share of each in the gradient, over training.

L2 norms of the gradient of each weighted loss at the student's features and in its decoder, as the run logs them.
"""

from matplotlib.figure import Figure

from analysis.drawing import style
from analysis.figures.base import Numbers
from analysis.inputs.given import Absent, Given
from analysis.inputs.rows import title

PLACES = {"features": "at the features", "decoder": "in the decoder"}
COLOURS = {"detection": style.TRUTH, "logits": style.DISTILLED, "features": style.TEACHER, "prior": style.MATCH}


def measure(given: Given) -> Numbers:
    row = next((row for row in given.rows if row.kind == "distilled" and row.logged["gradients"]), None)
    if row is None:
        raise Absent("it needs a distilled run that logged gradient norms: train with --gradients-every 200")
    rows = [record for note in row.logged["gradients"] for record in shares(note)]
    about = (
        f"Shares of the sum of the L2 norms of the gradients of {title(row.detector)}'s losses, each with its weight"
    )
    return Numbers(rows, f"{about}, on {row.data}, seed {row.seed}. {outcome(rows)}")


def shares(note: dict) -> list[dict]:
    found = []
    for place in PLACES:
        norms = {loss: by.get(place) or 0.0 for loss, by in note["gradients"].items()}
        whole = sum(norms.values()) or 1.0
        found += [
            {"place": place, "step": note["step"], "loss": loss, "norm": norm, "share": norm / whole}
            for loss, norm in norms.items()
        ]
    return found


def outcome(rows: list[dict]) -> str:
    """Mean shares, and whether a loss hardly counts."""
    said = []
    for place, words in PLACES.items():
        by: dict[str, list[float]] = {}
        for row in rows:
            if row["place"] == place:
                by.setdefault(row["loss"], []).append(row["share"])
        means = sorted(((sum(x) / len(x), loss) for loss, x in by.items()), reverse=True)
        said.append(f"{words} " + ", ".join(f"{loss} {100 * share:.0f}%" for share, loss in means))
    return f"Mean over training: {'; '.join(said)}."


def make(numbers: Numbers) -> Figure:
    losses = list(dict.fromkeys(row["loss"] for row in numbers.rows))
    spare = iter(style.OTHER)
    colours = {loss: COLOURS.get(loss) or next(spare) for loss in losses}
    figure = Figure(figsize=style.size(1.9, columns=2))
    for ax, (place, words) in zip(figure.subplots(1, 2, sharey=True), PLACES.items()):
        by = {loss: [r["share"] for r in numbers.rows if (r["place"], r["loss"]) == (place, loss)] for loss in losses}
        steps = sorted({r["step"] for r in numbers.rows})
        areas = ax.stackplot(steps, *by.values(), labels=losses, colors=[colours[loss] for loss in losses])
        for part, hatch in zip(areas, style.HATCHES):
            part.set(hatch=hatch, edgecolor="white", linewidth=0.3)
        ax.set(xlabel="step", title=words, xlim=(steps[0], steps[-1]), ylim=(0, 1))
    figure.axes[0].set_ylabel("share of the gradient")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(losses))
    return figure
