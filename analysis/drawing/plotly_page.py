"""The interactive twin of a figure: the same axes, lines, bars, points and pictures in plotly, one HTML file without network.

It is read off the matplotlib figure, so whatever is drawn has a twin, and every point tells its numbers.
"""

import base64
import io
from collections.abc import Iterator

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

DPI = 120  # of an inch on the screen
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
SYMBOLS = {"o": "circle", "s": "square", "D": "diamond", "^": "triangle-up", "v": "triangle-down"}
SYMBOLS |= {"P": "cross", "X": "x", "*": "star"}


def page(figure: Figure, name: str, caption: str) -> str:
    """One HTML file; the same bytes for the same figure."""
    body = pio.to_html(twin(figure), include_plotlyjs=True, full_html=False, div_id=f"figure-{name}")
    text = caption.replace("&", "&amp;").replace("<", "&lt;")
    head = f'<!doctype html><meta charset="utf-8"><title>{name}</title>'
    return f'{head}<body style="font-family: sans-serif; margin: 1em">{body}<p style="max-width: 60em">{text}</p>'


def twin(figure: Figure) -> go.Figure:
    FigureCanvasAgg(figure).draw()  # places the axes
    made, width, height = go.Figure(), *figure.get_size_inches()
    named: set[str] = set()
    for number, ax in enumerate(ax for ax in figure.axes if not hasattr(ax, "_colorbar") and ax.axison):
        suffix = "" if number == 0 else str(number + 1)
        for trace in traces(ax):
            fresh = bool(trace.name) and trace.name not in named
            named |= {trace.name} if fresh else set()
            shown = {"showlegend": fresh} if trace.type != "image" else {}
            made.add_trace(trace.update(xaxis=f"x{suffix}", yaxis=f"y{suffix}", **shown))
        made.update_layout({f"xaxis{suffix}": axis(ax, "x", suffix), f"yaxis{suffix}": axis(ax, "y", suffix)})
        for shape in shapes(ax):
            made.add_shape(shape | {"xref": f"x{suffix}", "yref": f"y{suffix}"})
        for note in notes(ax, suffix):
            made.add_annotation(note)
    margin = {"l": 10, "r": 10, "t": 10, "b": 10}
    look = {"template": "simple_white", "font": {"size": 11}, "margin": margin, "barmode": "overlay"}
    return made.update_layout(width=DPI * width + 40, height=DPI * height + 40, **look)


def traces(ax: Axes) -> Iterator[go.Figure]:
    for image in ax.images:
        yield picture(image)
    for part in ax.collections:
        if isinstance(part, PolyCollection):
            yield area(part)
        elif isinstance(part, PathCollection):
            yield points(part)
        elif isinstance(part, LineCollection):
            yield segments(part)
    for bars in (c for c in ax.containers if isinstance(c, BarContainer)):
        yield columns(bars)
    for line in ax.get_lines():
        yield curve(line, ax)


def label(artist) -> str | None:
    text = str(artist.get_label())
    return None if text.startswith("_") else text


def curve(line: Line2D, ax: Axes) -> go.Scatter:
    x, y = (np.asarray(v, dtype=float) for v in line.get_data(orig=False))
    if line.get_transform() == ax.get_yaxis_transform():  # across the axes
        x = np.array(ax.get_xlim())
    marker, dash = str(line.get_marker()), line.get_linestyle()
    modes = [m for m, on in (("lines", dash not in ("None", "")), ("markers", marker not in ("None", ""))) if on]
    colour = to_hex(line.get_color())
    look = {"line": {"color": colour, "dash": DASHES.get(dash, "dash"), "width": 1.5 * line.get_linewidth()}}
    look |= {"marker": {"color": colour, "symbol": SYMBOLS.get(marker, "circle"), "size": 7}}
    return go.Scatter(x=x.tolist(), y=y.tolist(), mode="+".join(modes) or "none", name=label(line), **look)


def area(part: PolyCollection) -> go.Scatter:
    corners = np.concatenate([p.vertices for p in part.get_paths()])
    colour = to_hex(part.get_facecolor()[0])
    look = {"fill": "toself", "fillcolor": colour, "opacity": 0.25, "line": {"width": 0}, "hoverinfo": "skip"}
    return go.Scatter(x=corners[:, 0].tolist(), y=corners[:, 1].tolist(), mode="lines", name=label(part), **look)


def points(part: PathCollection) -> go.Scatter:
    x, y = np.asarray(part.get_offsets(), dtype=float).T
    colours = [to_hex(c) for c in part.get_facecolor()] or ["#000000"]
    look = {"color": colours[0] if len(colours) == 1 else colours, "size": 6}
    return go.Scatter(x=x.tolist(), y=y.tolist(), mode="markers", name=label(part), marker=look)


def segments(part: LineCollection) -> go.Scatter:
    ends = [np.concatenate([s, [[np.nan, np.nan]]]) for s in part.get_segments() if len(s)]
    x, y = np.concatenate(ends).T if ends else ([], [])
    blank = lambda v: [None if n != n else n for n in np.asarray(v, dtype=float).tolist()]  # noqa: E731
    colour = to_hex(part.get_color()[0]) if len(part.get_color()) else "#000000"
    return go.Scatter(x=blank(x), y=blank(y), mode="lines", name=label(part), line={"color": colour, "width": 1.2})


def columns(bars: BarContainer) -> go.Bar:
    upright = bars.orientation != "horizontal"
    rows = [
        (b.get_x() + b.get_width() / 2, b.get_y() + b.get_height() / 2, b.get_width(), b.get_height()) for b in bars
    ]
    x, y, width, height = (list(map(float, v)) for v in zip(*rows))
    low = [float(b.get_y() if upright else b.get_x()) for b in bars]
    sizes = dict(x=x, y=height, width=width) if upright else dict(y=y, x=width, width=height, orientation="h")
    return go.Bar(**sizes, base=low, name=label(bars), marker={"color": to_hex(bars[0].get_facecolor())})


def picture(image: AxesImage) -> go.Image | go.Heatmap:
    left, right, bottom, top = image.get_extent()
    values = np.asarray(image.get_array())
    rows, wide = values.shape[:2]
    step, drop = (right - left) / wide, (bottom - top) / rows
    place = {"x0": left + step / 2, "dx": step, "y0": top + drop / 2, "dy": drop}
    if values.ndim == 2:
        low, high = image.get_clim()
        return go.Heatmap(
            z=values.astype(float).round(4).tolist(),
            zmin=low,
            zmax=high,
            colorscale="Magma",
            opacity=0.7,
            showscale=False,
            **place,
        )
    if values.dtype != np.uint8:
        values = (255 * values).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return go.Image(source="data:image/png;base64," + base64.b64encode(file.getvalue()).decode(), **place)


def shapes(ax: Axes) -> Iterator[dict]:
    """Boxes that are no bars."""
    bars = {bar for c in ax.containers if isinstance(c, BarContainer) for bar in c}
    for patch in ax.patches:
        if isinstance(patch, Rectangle) and patch not in bars:
            x0, y0 = patch.get_xy()
            corners = {"x0": x0, "y0": y0, "x1": x0 + patch.get_width(), "y1": y0 + patch.get_height()}
            line = {"color": to_hex(patch.get_edgecolor()), "width": 1.5 * patch.get_linewidth()}
            fill = to_hex(patch.get_facecolor()) if patch.get_fill() else "rgba(0,0,0,0)"
            yield {"type": "rect", "fillcolor": fill, "line": line} | corners


def notes(ax: Axes, suffix: str) -> Iterator[dict]:
    """The title, and texts within the axes."""
    box = ax.get_position()
    if ax.get_title():
        where = {"x": (box.x0 + box.x1) / 2, "y": box.y1, "xref": "paper", "yref": "paper", "yanchor": "bottom"}
        yield {"text": ax.get_title().replace("\n", "<br>"), "showarrow": False} | where
    for text in ax.texts:
        x, y = getattr(text, "xy", text.get_position())
        plate = text.get_bbox_patch()
        ground = {"bgcolor": to_hex(plate.get_facecolor())} if plate else {}
        where = {
            "x": float(x),
            "y": float(y),
            "xref": f"x{suffix}",
            "yref": f"y{suffix}",
            "yanchor": "bottom",
            "xanchor": XA[text.get_ha()],
        }
        if text.get_text() and text.get_transform() == ax.transData or hasattr(text, "xy"):
            yield (
                {
                    "text": text.get_text().replace("\n", "<br>"),
                    "showarrow": False,
                    "font": {"size": 9, "color": to_hex(text.get_color())},
                }
                | where
                | ground
            )


XA = {"left": "left", "center": "center", "right": "right"}


def axis(ax: Axes, which: str, suffix: str) -> dict:
    """Domain, range, ticks and title of one axis."""
    box, mine = ax.get_position(), ax.xaxis if which == "x" else ax.yaxis
    low, high = ax.get_xlim() if which == "x" else ax.get_ylim()
    log = mine.get_scale() == "log"
    look = {
        "domain": [max(0, box.x0), min(1, box.x1)] if which == "x" else [max(0, box.y0), min(1, box.y1)],
        "anchor": f"{'y' if which == 'x' else 'x'}{suffix}",
        "range": [float(np.log10(low)), float(np.log10(high))] if log else [float(low), float(high)],
        "title": {"text": mine.get_label_text().replace("\n", "<br>"), "standoff": 4},
        "type": "log" if log else "linear",
    }
    ticks = [(float(v), t.get_text()) for v, t in zip(mine.get_ticklocs(), mine.get_ticklabels()) if t.get_text()]
    if not ticks:
        return look | {"showticklabels": False, "ticks": "", "showline": False, "zeroline": False}
    return look | {"tickvals": [v for v, _ in ticks], "ticktext": [t.replace("\n", "<br>") for _, t in ticks]}
