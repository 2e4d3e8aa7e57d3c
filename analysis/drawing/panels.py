"""A grid of like panels, each an axes with a title."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.drawing import style

COLUMNS = 3  # panels side by side, at most


def grid(panels: Sequence[str], *, height: float) -> tuple[Figure, dict[str, Axes]]:
    """A figure with one axes for each panel, in rows of this height in inches; panels have titles if there are several."""
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=style.size(height * rows, columns=min(2, len(panels))))
    axes = figure.subplots(rows, min(COLUMNS, len(panels)), squeeze=False).ravel()
    for ax in axes[len(panels) :]:
        ax.axis("off")
    by_panel = dict(zip(panels, axes))
    for panel, ax in by_panel.items():
        ax.set_title(panel if len(panels) > 1 else "")
    return figure, by_panel
