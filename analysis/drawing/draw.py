"""Drawing on an axes: an axes comes in, and goes out. Nothing is measured here, and nothing is laid out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy import ndarray

HEAT = "magma"  # lighter is more, in greyscale too
ALPHA = 0.62  # of a map over a picture


def curve(ax: Axes, x: Sequence[float], seeds: Sequence[Sequence[float]], *, label: str, look: Mapping) -> Axes:
    """The mean over seeds, in a band from the lowest to the highest where there are several."""
    values = np.array(seeds, dtype=float)
    line = {k: look[k] for k in ("color", "marker", "linestyle") if k in look}
    ax.plot(x, values.mean(0), label=label, markeredgecolor="white", markeredgewidth=0.4, **line)
    if len(values) > 1:
        ax.fill_between(x, values.min(0), values.max(0), color=look["color"], alpha=0.25, linewidth=0)
    return ax


def level(ax: Axes, value: float, *, label: str, look: Mapping) -> Axes:
    """A line across, such as the teacher's AP."""
    ax.axhline(value, label=label, color=look["color"], linestyle=look.get("linestyle", "-"), linewidth=1)
    return ax


def bars(ax: Axes, groups: Sequence[str], series: Mapping[str, tuple], *, digits: int | None = 1) -> Axes:
    """Bars side by side: series by label, each (heights, spreads, look), one of each for every group; None: none.

    `digits` of the height stand above each bar; None: no numbers.
    """
    width = 0.8 / max(len(series), 1)
    for k, (label, (heights, spreads, look)) in enumerate(series.items()):
        place = np.arange(len(groups)) + (k - (len(series) - 1) / 2) * width
        tall, error = (np.array([np.nan if x is None else x for x in values], float) for values in (heights, spreads))
        paint = {"color": look["color"], "hatch": look.get("hatch", ""), "edgecolor": "white", "linewidth": 0}
        ax.bar(place, tall, width * 0.92, label=label, **paint)
        there = ~np.isnan(error)
        ax.errorbar(place[there], tall[there], error[there], fmt="none", ecolor="black", elinewidth=0.7, capsize=1.5)
        if digits is not None:
            numbers(ax, place, tall, np.nan_to_num(error), digits)
    ax.set_xticks(range(len(groups)), groups)
    return ax


def numbers(ax: Axes, place: ndarray, tall: ndarray, error: ndarray, digits: int) -> Axes:
    above = {"xytext": (0, 1.5), "textcoords": "offset points", "ha": "center", "va": "bottom", "fontsize": 5.5}
    for x, height, more in zip(place, tall, error):
        if height == height:
            ax.annotate(f"{height:.{digits}f}", (x, height + more), **above)
    return ax


def picture(ax: Axes, pixels: ndarray) -> Axes:
    """RGB, "h w 3"; the axes counts its pixels, from the outer edge of the first."""
    height, width = pixels.shape[:2]
    ax.imshow(pixels, extent=(0, width, height, 0), interpolation="lanczos")
    ax.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


def grey(pixels: ndarray) -> ndarray:
    """Under a heat map: its brightness alone, paled."""
    light = pixels[..., :3].astype(float) @ [0.299, 0.587, 0.114]
    return np.repeat((0.75 * light + 40)[..., None], 3, -1).clip(0, 255).astype(np.uint8)


def heat(ax: Axes, mask: ndarray, pixels: ndarray, *, most: float | None = None):
    """A map over a picture, from 0 to `most` (None: its own maximum); gives what a colour bar needs."""
    picture(ax, grey(pixels))
    height, width = pixels.shape[:2]
    top = most if most is not None else float(mask.max()) or 1.0
    return ax.imshow(
        mask, extent=(0, width, height, 0), cmap=HEAT, vmin=0, vmax=top, alpha=ALPHA, interpolation="bilinear"
    )


def boxes(
    ax: Axes,
    corners: ndarray,
    *,
    color: str,
    texts: Sequence[str] = (),
    linestyle="-",
    width: float = 1.2,
    edge: bool = True,
) -> Axes:
    """(x0, y0, x1, y1) each, in the axes' pixels, with a text at each; a white edge keeps them apart from any ground."""
    corners = np.asarray(corners, dtype=float).reshape(-1, 4)
    for x0, y0, x1, y1 in corners:
        lines = [(width + 1, "white", "-")] * edge + [(width, color, linestyle)]
        for thick, colour, dash in lines:
            look = {"edgecolor": colour, "linewidth": thick, "linestyle": dash}
            ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, **look))
    for text, (x, y, ha, va) in zip(texts, apart(corners, ax)):
        if text:
            tag(ax, x, y, text, color=color, ha=ha, va=va)
    return ax


def apart(corners: ndarray, ax: Axes) -> list[tuple[float, float, str, str]]:
    """Where the text of each box goes, (x, y, ha, va): above its left corner, where that is on the axes and free."""
    (left, right), (top, low), found = sorted(ax.get_xlim()), sorted(ax.get_ylim()), []
    near = np.array([right - left, low - top]) * 0.09
    for x0, y0, x1, y1 in corners:
        x, ha = (x1, "right") if x0 > right - 3 * near[0] else (x0, "left")
        spot = (x, y0, ha, "top" if y0 < top + near[1] else "bottom")
        if any(np.all(np.abs(np.subtract(spot[:2], other[:2])) < near) for other in found):
            spot = (x1, y1, "right", "bottom" if y1 > low - near[1] else "top")
        found.append(spot)
    return found


def tag(ax: Axes, x: float, y: float, text: str, *, color: str, va: str = "bottom", ha: str = "left") -> Axes:
    """A few words on a plate of a colour, kept inside the axes."""
    (left, right), (bottom, top) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
    x, y = min(max(x, left), right), min(max(y, bottom), top)
    dark = sum(int(color[i : i + 2], 16) * w for i, w in ((1, 0.3), (3, 0.6), (5, 0.1))) < 140
    plate = {"facecolor": color, "edgecolor": "none", "pad": 0.8}
    ax.text(x, y, text, fontsize=5, color="white" if dark else "black", va=va, ha=ha, bbox=plate, clip_on=True)
    return ax


def key(*, color: str, label: str, linestyle="-") -> Line2D:
    """An entry of a legend of boxes."""
    return Line2D([], [], color=color, label=label, linestyle=linestyle, linewidth=1.2)
