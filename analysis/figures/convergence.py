"""AP against epochs and against seconds, of the rows of a study: who learns more from an image, and who from a minute."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import style
from core.errors import UserError
from core.files import read_json

LOOKS = {
    "alone": dict(color=style.STUDENT, label="student alone"),
    "distilled": dict(color=style.DISTILLED, label="student distilled"),
    "alone_equal_time": dict(color=style.STUDENT, linestyle="--", label="student alone, equal time"),
}


def make(folder: Path) -> Figure:
    """From `folder`/summary.json, as the study `demo` writes it."""
    rows = read_json(Path(folder) / "summary.json")
    if missing := {"teacher", *LOOKS} - rows.keys():
        raise UserError(f"{folder}/summary.json has no row {min(missing)}; make it with: python -m train study demo")
    figure = Figure(figsize=style.PAGE, layout="constrained")
    epochs, seconds = figure.subplots(1, 2, sharey=True)
    for name, look in LOOKS.items():
        draw(epochs, rows[name], per_epoch=1, **look)
        draw(seconds, rows[name], per_epoch=rows[name]["seconds"] / rows[name]["epochs"] / 60, **look)
    for ax, label in ((epochs, "epochs"), (seconds, "minutes of training, one core")):
        ax.axhline(100 * rows["teacher"]["ap"], color=style.TEACHER, label="teacher")
        ax.set_xlabel(label)
        ax.set_xlim(left=0)
        ax.set_ylim(bottom=0)
    epochs.set_ylabel("AP on shapes/val")
    epochs.legend(frameon=False)
    return figure


def draw(ax: Axes, row: dict, *, per_epoch: float, **look) -> Axes:
    """AP after each epoch, an epoch being `per_epoch` wide."""
    values = [100 * ap for ap in row["ap_by_epoch"]]
    ax.plot([per_epoch * (k + 1) for k in range(len(values))], values, marker="o", markersize=3, **look)
    return ax
