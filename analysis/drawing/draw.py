"""Draws on matplotlib axes: every function takes an axes and returns it. Nothing is measured or laid out here."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy import ndarray

HEAT = "magma"  # its brightness grows with the value, so it reads in greyscale too
ALPHA = 0.62  # opacity of a heat map over an image

Style = Mapping[str, Any]  # color, and where needed marker, linestyle and hatch, as in `style.ROLE_STYLES`
LineStyle = str | tuple[float, tuple[float, ...]]  # as matplotlib takes it
Heights = Sequence[float | None]


def curve(ax: Axes, x: Sequence[float], seeds: Sequence[Sequence[float]], *, label: str, look: Style) -> Axes:
    """The mean over seeds (one sequence of y for each), in a band from the minimum to the maximum if there are several."""
    values = np.array(seeds, dtype=float)
    line = {k: look[k] for k in ("color", "marker", "linestyle") if k in look}
    ax.plot(x, values.mean(0), label=label, markeredgecolor="white", markeredgewidth=0.4, **line)
    if len(values) > 1:
        ax.fill_between(x, values.min(0), values.max(0), color=look["color"], alpha=0.25, linewidth=0)
    return ax


def level(ax: Axes, value: float, *, label: str, look: Style) -> Axes:
    """A horizontal line across the axes, such as the teacher's AP."""
    ax.axhline(value, label=label, color=look["color"], linestyle=look.get("linestyle", "-"), linewidth=1)
    return ax


def bars(
    ax: Axes, groups: Sequence[str], series: Mapping[str, tuple[Heights, Heights, Style]], *, digits: int | None = 1
) -> Axes:
    """Groups of bars side by side; `series` holds, by label, the heights, whiskers and style of one bar in each group.

    A height or whisker that is None is not drawn. Each bar has its height above it with `digits` decimals; None: no numbers.
    """
    width = 0.8 / max(len(series), 1)
    for k, (label, (heights, spreads, look)) in enumerate(series.items()):
        x = np.arange(len(groups)) + (k - (len(series) - 1) / 2) * width
        height, error = (np.array([np.nan if v is None else v for v in values], float) for values in (heights, spreads))
        paint = {"color": look["color"], "hatch": look.get("hatch", ""), "edgecolor": "white", "linewidth": 0}
        ax.bar(x, height, width * 0.92, label=label, **paint)
        known = ~np.isnan(error)
        ax.errorbar(x[known], height[known], error[known], fmt="none", ecolor="black", elinewidth=0.7, capsize=1.5)
        if digits is not None:
            numbers(ax, x, height, np.nan_to_num(error), digits)
    ax.set_xticks(range(len(groups)), groups)
    return ax


def numbers(
    ax: Axes, x: Float[ndarray, " n"], height: Float[ndarray, " n"], error: Float[ndarray, " n"], digits: int
) -> Axes:
    """The height of each bar above its whisker; NaN heights are left out."""
    above: dict[str, Any] = {"xytext": (0, 1.5), "textcoords": "offset points", "ha": "center", "va": "bottom"}
    for place, value, whisker in zip(x, height, error):
        if not np.isnan(value):
            ax.annotate(f"{value:.{digits}f}", (place, value + whisker), fontsize=5.5, **above)
    return ax


def picture(ax: Axes, pixels: UInt8[ndarray, "h w 3"]) -> Axes:
    """An RGB image; the axes then counts its pixels, from (0, 0) at the outer corner of the first."""
    height, width = pixels.shape[:2]
    ax.imshow(pixels, extent=(0, width, height, 0), interpolation="lanczos")
    ax.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


def grey(pixels: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "h w 3"]:
    """The image in pale grey, as the background of a heat map."""
    light = pixels[..., :3].astype(float) @ [0.299, 0.587, 0.114]
    return np.repeat((0.75 * light + 40)[..., None], 3, -1).clip(0, 255).astype(np.uint8)


def heat(
    ax: Axes, values: Float[ndarray, "_ _"], pixels: UInt8[ndarray, "h w 3"], *, most: float | None = None
) -> AxesImage:
    """A heat map over an image, with colours from 0 to `most` (None: its own maximum). Returns what a colour bar needs."""
    picture(ax, grey(pixels))
    height, width = pixels.shape[:2]
    top = most if most is not None else float(values.max()) or 1.0
    extent = (0.0, float(width), float(height), 0.0)
    return ax.imshow(values, extent=extent, cmap=HEAT, vmin=0, vmax=top, alpha=ALPHA, interpolation="bilinear")


def boxes(
    ax: Axes,
    corners: Float[ndarray, "*n 4"],
    *,
    color: str,
    texts: Sequence[str] = (),
    linestyle: LineStyle = "-",
    width: float = 1.2,
    edge: bool = True,
) -> Axes:
    """Boxes (x0, y0, x1, y1) in the axes' units, with a text at each; `edge` adds a white outline for contrast."""
    corners = np.asarray(corners, dtype=float).reshape(-1, 4)
    for x0, y0, x1, y1 in corners:
        outline: list[tuple[float, str, LineStyle]] = [(width + 1, "white", "-")] * edge
        for thickness, colour, dash in [*outline, (width, color, linestyle)]:
            look: dict[str, Any] = {"edgecolor": colour, "linewidth": thickness, "linestyle": dash}
            ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, **look))
    for text, (x, y, ha, va) in zip(texts, text_places(corners, ax)):
        if text:
            text_on_plate(ax, x, y, text, color=color, ha=ha, va=va)
    return ax


def text_places(corners: Float[ndarray, "n 4"], ax: Axes) -> list[tuple[float, float, str, str]]:
    """Place and alignment (x, y, ha, va) of each box's text: at its upper left corner, or the lower right if that is taken."""
    (left, right), (top, bottom) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
    near = np.array([right - left, bottom - top]) * 0.09
    places: list[tuple[float, float, str, str]] = []
    for x0, y0, x1, y1 in corners:
        x, ha = (x1, "right") if x0 > right - 3 * near[0] else (x0, "left")
        place = (x, y0, ha, "top" if y0 < top + near[1] else "bottom")
        if any(np.all(np.abs(np.subtract(place[:2], other[:2])) < near) for other in places):
            place = (x1, y1, "right", "bottom" if y1 > bottom - near[1] else "top")
        places.append(place)
    return places


def text_on_plate(ax: Axes, x: float, y: float, text: str, *, color: str, va: str = "bottom", ha: str = "left") -> Axes:
    """A short text on a background of this colour ("#rrggbb"), in black or white, kept inside the axes."""
    (left, right), (bottom, top) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
    x, y = min(max(x, left), right), min(max(y, bottom), top)
    dark = sum(int(color[i : i + 2], 16) * w for i, w in ((1, 0.3), (3, 0.6), (5, 0.1))) < 140
    plate = {"facecolor": color, "edgecolor": "none", "pad": 0.8}
    ax.text(x, y, text, fontsize=5, color="white" if dark else "black", va=va, ha=ha, bbox=plate, clip_on=True)
    return ax


def legend_entry(*, color: str, label: str, linestyle: Literal["-", "--"] = "-") -> Line2D:
    """A legend entry for boxes of this colour."""
    return Line2D([], [], color=color, label=label, linestyle=linestyle, linewidth=1.2)
