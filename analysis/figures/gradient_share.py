"""Share of each loss in the student's gradient, over training.

L2 norms of the gradient of each weighted loss at the student's features and in its decoder, as the run logs them.
"""

from matplotlib.figure import Figure

from analysis.drawing import style
from analysis.figures.base import Numbers
from analysis.inputs.inputs import Absent, Inputs
from analysis.inputs.rows import detector_title

PLACES = {"features": "at the features", "decoder": "in the decoder"}
COLOURS = {"detection": style.TRUTH, "logits": style.DISTILLED, "features": style.TEACHER, "prior": style.MATCH}


def measure(inputs: Inputs) -> Numbers:
    """A row for each logged step, loss and place, of the first distilled run that logged gradients. Absent: none did."""
    row = next((row for row in inputs.rows if row.kind == "distilled" and row.logged["gradients"]), None)
    if row is None:
        raise Absent("it needs a distilled run that logged gradient norms: train with --gradients-every 200")
    rows = [share for note in row.logged["gradients"] for share in shares(note)]
    about = "Share of each weighted loss in the sum of the L2 norms of the losses' gradients"
    return Numbers(rows, f"{about}: {detector_title(row.detector)} on {row.data}, seed {row.seed}. {outcome(rows)}")


def shares(note: dict) -> list[dict]:
    """The rows of one logged step."""
    rows = []
    for place in PLACES:
        norms = {loss: by_place.get(place) or 0.0 for loss, by_place in note["gradients"].items()}
        total = sum(norms.values()) or 1.0
        rows += [
            {"place": place, "step": note["step"], "loss": loss, "norm": norm, "share": norm / total}
            for loss, norm in norms.items()
        ]
    return rows


def outcome(rows: list[dict]) -> str:
    """Mean share of each loss over training, the largest first."""
    clauses = []
    for place, words in PLACES.items():
        by_loss: dict[str, list[float]] = {}
        for row in rows:
            if row["place"] == place:
                by_loss.setdefault(row["loss"], []).append(row["share"])
        means = sorted(((sum(x) / len(x), loss) for loss, x in by_loss.items()), reverse=True)
        clauses.append(f"{words}: " + ", ".join(f"{loss} {100 * share:.0f}%" for share, loss in means))
    return f"Means over training {'; '.join(clauses)}."


def make(numbers: Numbers) -> Figure:
    """Stacked areas over steps: at the features, and in the decoder."""
    losses = list(dict.fromkeys(row["loss"] for row in numbers.rows))
    spare = iter(style.OTHER)
    colours = {loss: COLOURS.get(loss) or next(spare) for loss in losses}
    figure = Figure(figsize=style.size(1.9, columns=2))
    for ax, (place, words) in zip(figure.subplots(1, 2, sharey=True), PLACES.items()):
        by_loss = {
            loss: [r["share"] for r in numbers.rows if (r["place"], r["loss"]) == (place, loss)] for loss in losses
        }
        steps = sorted({r["step"] for r in numbers.rows})
        areas = ax.stackplot(steps, *by_loss.values(), labels=losses, colors=[colours[loss] for loss in losses])
        for area, hatch in zip(areas, style.HATCHES):
            area.set(hatch=hatch, edgecolor="white", linewidth=0.3)
        ax.set(xlabel="step", title=words, xlim=(steps[0], steps[-1]), ylim=(0, 1))
    figure.axes[0].set_ylabel("share of the gradient")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(losses))
    return figure
