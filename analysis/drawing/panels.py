"""Panels of one kind on a page, each of them an axes with a name."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.drawing import style

ACROSS = 3


def grid(panels: Sequence[str], *, tall: float) -> tuple[Figure, dict[str, Axes]]:
    """Of rows `tall` inches high; a panel has its name above it where there are several."""
    rows = -(-len(panels) // ACROSS)
    figure = Figure(figsize=style.size(tall * rows, columns=min(2, len(panels))))
    axes = figure.subplots(rows, min(ACROSS, len(panels)), squeeze=False).ravel()
    for ax in axes[len(panels) :]:
        ax.axis("off")
    found = dict(zip(panels, axes))
    for panel, ax in found.items():
        ax.set_title(panel if len(panels) > 1 else "")
    return figure, found
