"""The interactive version of a figure: its axes, lines, bars, points and images in plotly, as one HTML file.

It is converted from the matplotlib figure, so it shows whatever was drawn, and every point shows its numbers under the
pointer. The page needs no network.
"""

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text
from PIL import Image
from plotly.basedatatypes import BaseTraceType

DPI = 120  # screen pixels for each inch of the figure
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
SYMBOLS = {"o": "circle", "s": "square", "D": "diamond", "^": "triangle-up", "v": "triangle-down"}
SYMBOLS |= {"P": "cross", "X": "x", "*": "star"}
CAPS = {"_": "line-ew", "|": "line-ns"}  # the ends of whiskers, which have no face


def page(figure: Figure, name: str, caption: str) -> str:
    """An HTML page with the figure and its caption; the same bytes for the same figure."""
    body = pio.to_html(to_plotly(figure), include_plotlyjs=True, full_html=False, div_id=f"figure-{name}")
    text = caption.replace("&", "&amp;").replace("<", "&lt;")
    head = f'<!doctype html><meta charset="utf-8"><title>{name}</title>'
    return f'{head}<body style="font-family: sans-serif; margin: 1em">{body}<p style="max-width: 60em">{text}</p>'


def to_plotly(figure: Figure) -> go.Figure:
    """The plotly figure of a matplotlib figure; colour bars and axes that are switched off are left out."""
    FigureCanvasAgg(figure).draw()  # computes the layout of the axes
    result, width, height = go.Figure(), *figure.get_size_inches()
    in_legend: set[str] = set()
    for number, ax in enumerate(ax for ax in figure.axes if not hasattr(ax, "_colorbar") and ax.axison):
        suffix = "" if number == 0 else str(number + 1)
        for trace in traces(ax):
            new = bool(trace.name) and trace.name not in in_legend
            in_legend |= {trace.name} if new else set()
            legend = {"showlegend": new} if trace.type != "image" else {}
            result.add_trace(trace.update(xaxis=f"x{suffix}", yaxis=f"y{suffix}", **legend))
        result.update_layout({f"xaxis{suffix}": axis(ax, "x", suffix), f"yaxis{suffix}": axis(ax, "y", suffix)})
        for shape in rectangles(ax):
            result.add_shape(shape | {"xref": f"x{suffix}", "yref": f"y{suffix}"})
        for annotation in annotations(ax, suffix):
            result.add_annotation(annotation)
    margin = {"l": 10, "r": 10, "t": 10, "b": 10}
    look = {"template": "simple_white", "font": {"size": 11}, "margin": margin, "barmode": "overlay"}
    return result.update_layout(width=DPI * width + 40, height=DPI * height + 40, **look)


def traces(ax: Axes) -> Iterator[BaseTraceType]:
    """Everything on the axes that has data: images, areas, points, line segments, bars and lines."""
    for image in ax.images:
        yield image_trace(image)
    for collection in ax.collections:
        if isinstance(collection, PolyCollection):
            yield area_trace(collection)
        elif isinstance(collection, PathCollection):
            yield points_trace(collection)
        elif isinstance(collection, LineCollection):
            yield segments_trace(collection)
    for container in ax.containers:
        if isinstance(container, BarContainer):
            yield bars_trace(container)
    for line in ax.get_lines():
        yield line_trace(line, ax)


def label(artist: Artist | BarContainer) -> str | None:
    """The label in the legend; None if it has none (matplotlib's begin with "_")."""
    text = str(artist.get_label())
    return None if text.startswith("_") else html_lines(text)


def line_trace(line: Line2D, ax: Axes) -> go.Scatter:
    """A line with its markers; one that spans the axes ends at the axes' limits."""
    x, y = (np.asarray(v, dtype=float) for v in line.get_data(orig=False))
    if line.get_transform() == ax.get_yaxis_transform():  # its x are shares of the axes, not data
        x = np.array(ax.get_xlim())
    if line.get_transform() == ax.get_xaxis_transform():
        y = np.array(ax.get_ylim())
    marker, dash = str(line.get_marker()), line.get_linestyle()
    modes = [m for m, on in (("lines", dash not in ("None", "")), ("markers", marker not in ("None", ""))) if on]
    color = colour(line.get_color())
    style: dict[str, Any] = {"color": color, "dash": DASHES.get(str(dash), "dash"), "width": 1.5 * line.get_linewidth()}
    symbol: dict[str, Any] = {"symbol": (SYMBOLS | CAPS).get(marker, "circle"), "size": 7}
    edge = colour(line.get_markeredgecolor()) if marker in CAPS else color
    symbol |= {"color": colour(line.get_markerfacecolor()), "line": {"color": edge, "width": 1}}
    mode = "+".join(modes) or "none"
    return go.Scatter(x=x.tolist(), y=y.tolist(), mode=mode, name=label(line), line=style, marker=symbol)


def area_trace(area: PolyCollection) -> go.Scatter:
    """A filled area, such as a band between curves."""
    corners = np.concatenate([np.asarray(path.vertices) for path in area.get_paths()])
    look: dict[str, Any] = {"fill": "toself", "fillcolor": colour(area.get_facecolor()[0]), "opacity": 0.25}
    look |= {"line": {"width": 0}, "hoverinfo": "skip"}
    return go.Scatter(x=corners[:, 0].tolist(), y=corners[:, 1].tolist(), mode="lines", name=label(area), **look)


def points_trace(points: PathCollection) -> go.Scatter:
    """A scatter plot."""
    x, y = np.asarray(points.get_offsets(), dtype=float).T
    colours = [colour(c) for c in points.get_facecolor()] or ["#000000"]
    look = {"color": colours[0] if len(colours) == 1 else colours, "size": 6}
    return go.Scatter(x=x.tolist(), y=y.tolist(), mode="markers", name=label(points), marker=look)


def segments_trace(segments: LineCollection) -> go.Scatter:
    """Separate line segments, such as whiskers, as one line with gaps."""
    ends = [np.concatenate([s, [[np.nan, np.nan]]]) for s in segments.get_segments() if len(s)]
    x, y = np.concatenate(ends).T if ends else ([], [])
    gaps = lambda v: [None if np.isnan(n) else n for n in np.asarray(v, dtype=float).tolist()]  # noqa: E731
    colours = segments.get_color()
    look = {"color": colour(colours[0]) if len(colours) else "#000000", "width": 1.2}
    return go.Scatter(x=gaps(x), y=gaps(y), mode="lines", name=label(segments), line=look)


def bars_trace(bars: BarContainer) -> go.Bar:
    """Bars, upright or horizontal."""
    upright = bars.orientation != "horizontal"
    sizes = [
        (b.get_x() + b.get_width() / 2, b.get_y() + b.get_height() / 2, b.get_width(), b.get_height()) for b in bars
    ]
    x, y, width, height = (list(map(float, v)) for v in zip(*sizes))
    base = [float(b.get_y() if upright else b.get_x()) for b in bars]
    place: dict[str, Any] = dict(x=x, y=height, width=width) if upright else dict(y=y, x=width, width=height)
    if not upright:
        place["orientation"] = "h"
    return go.Bar(**place, base=base, name=label(bars), marker={"color": colour(bars[0].get_facecolor())})


def image_trace(image: AxesImage) -> go.Image | go.Heatmap:
    """An RGB image, or a heat map of one channel."""
    left, right, bottom, top = image.get_extent()
    values = np.asarray(image.get_array())
    rows, columns = values.shape[:2]
    dx, dy = (right - left) / columns, (bottom - top) / rows
    place = {"x0": left + dx / 2, "dx": dx, "y0": top + dy / 2, "dy": dy}
    if values.ndim == 2:
        low, high = image.get_clim()
        z = values.astype(float).round(4).tolist()
        look: dict[str, Any] = {"colorscale": "Magma", "opacity": 0.7, "showscale": False}
        return go.Heatmap(z=z, zmin=low, zmax=high, **look, **place)
    if values.dtype != np.uint8:
        values = (255 * values).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return go.Image(source="data:image/png;base64," + base64.b64encode(file.getvalue()).decode(), **place)


def rectangles(ax: Axes) -> Iterator[dict]:
    """Rectangles that are not bars, as plotly shapes: boxes of objects, say."""
    bars = {bar for c in ax.containers if isinstance(c, BarContainer) for bar in c}
    for patch in ax.patches:
        if isinstance(patch, Rectangle) and patch not in bars:
            x0, y0 = patch.get_xy()
            corners = {"x0": x0, "y0": y0, "x1": x0 + patch.get_width(), "y1": y0 + patch.get_height()}
            line = {"color": colour(patch.get_edgecolor()), "width": 1.5 * patch.get_linewidth()}
            red, green, blue, alpha = to_rgba(patch.get_facecolor())
            fill = f"rgba({255 * red:.0f},{255 * green:.0f},{255 * blue:.0f},{alpha:.3g})"
            yield {"type": "rect", "fillcolor": fill, "line": line} | corners


def annotations(ax: Axes, suffix: str) -> Iterator[dict]:
    """The title and the texts within the axes, as plotly annotations."""
    box = ax.get_position()
    if ax.get_title():
        place: dict[str, Any] = {"x": (box.x0 + box.x1) / 2, "y": box.y1, "xref": "paper", "yref": "paper"}
        yield {"text": html_lines(ax.get_title()), "showarrow": False, **place, "yanchor": "bottom"}
    for text in ax.texts:
        units = place_units(text, ax)
        if not text.get_text() or units is None:
            continue
        x, y = text.xy if isinstance(text, Annotation) else text.get_position()
        plate = text.get_bbox_patch()
        background = {"bgcolor": colour(plate.get_facecolor())} if plate else {}
        place = {"x": float(x), "y": float(y), "xref": f"x{suffix}{units[0]}", "yref": f"y{suffix}{units[1]}"}
        middle = text.get_verticalalignment() == "center"
        place |= {"yanchor": "middle" if middle else "bottom", "xanchor": text.get_horizontalalignment()}
        font = {"size": 9, "color": colour(text.get_color())}
        yield {"text": html_lines(text.get_text()), "showarrow": False, "font": font} | place | background


def place_units(text: Text, ax: Axes) -> tuple[str, str] | None:
    """Returns what plotly adds to the names of the x and the y axis: " domain" if the text's place is a share of that axis.

    None if the place is given in another way.
    """
    transform = text.get_transform()
    if isinstance(text, Annotation) or transform == ax.transData:
        return "", ""
    if transform == ax.get_yaxis_transform():
        return " domain", ""
    return ("", " domain") if transform == ax.get_xaxis_transform() else None


def axis(ax: Axes, which: str, suffix: str) -> dict:
    """Layout of the "x" or the "y" axis: its place on the page, range, ticks and title."""
    box, source = ax.get_position(), ax.xaxis if which == "x" else ax.yaxis
    low, high = ax.get_xlim() if which == "x" else ax.get_ylim()
    log = source.get_scale() == "log"
    look: dict[str, Any] = {
        "domain": [max(0, box.x0), min(1, box.x1)] if which == "x" else [max(0, box.y0), min(1, box.y1)],
        "anchor": f"{'y' if which == 'x' else 'x'}{suffix}",
        "range": [float(np.log10(low)), float(np.log10(high))] if log else [float(low), float(high)],
        "title": {"text": html_lines(source.get_label_text()), "standoff": 4},
        "type": "log" if log else "linear",
    }
    ticks = [(float(v), t.get_text()) for v, t in zip(source.get_ticklocs(), source.get_ticklabels()) if t.get_text()]
    if not ticks:
        return look | {"showticklabels": False, "ticks": "", "showline": False, "zeroline": False}
    return look | {"tickvals": [v for v, _ in ticks], "ticktext": [html_lines(t) for _, t in ticks]}


def html_lines(text: str) -> str:
    """The text with HTML's line breaks."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>")


def colour(value: Any) -> str:
    """A matplotlib colour as "#rrggbb"."""
    return to_hex(value)
