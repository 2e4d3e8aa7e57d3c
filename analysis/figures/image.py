"""One image: its matches, query masks, and how firmly each object is matched."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import ConnectionPatch, Rectangle

from analysis.drawing import draw, style
from analysis.figures.base import Numbers
from analysis.inputs.inputs import Absent, Inputs
from analysis.inputs.one_image import ReplayedImage, replay_image
from analysis.inputs.rows import Row, detector_title
from analysis.query_table.measure import by_layer
from core.matching.costs import Matching, costs, weighted_sum
from core.matching.margins import margins
from core.metrics.instability import assigned_objects, between_layers
from core.types import Trace

MASKS = 4  # that are drawn, at most
OBJECTS = 8  # in the tables of layers, at most: the largest
COLOURS = {"student": style.DISTILLED, "teacher": style.TEACHER}
CHANGED = "#D55E00"  # frame of a cell whose query is another than in the layer before


def measure(inputs: Inputs) -> Numbers:
    """A row for each detector, decoder layer ("stage") and object; `extra` holds the image. Absent: there is no run."""
    row = next((row for row in inputs.runs if row.kind == "distilled"), None) or inputs.first_run()
    id = inputs.image if inputs.image is not None else least_stable_image(inputs, row)
    image = replay_image(inputs, row, id)
    rows = [r for role, trace in traces(image).items() for r in matches(image, role, trace)]
    instability = {
        role: sum(between_layers(assigned_objects(trace).numpy()).tolist()) for role, trace in traces(image).items()
    }
    about = f"Image {id} of {row.data}; {detector_title(row.detector)}, run {row.name}"
    top = (
        "Top: true boxes (green) and the boxes matched with them, and masks of queries matched with the largest objects"
    )
    bottom = (
        "Bottom: the query matched with each object in each decoder layer, and its margin (the increase of the matching's "
        "total cost if the pair is forbidden); framed: another query than in the layer before"
    )
    changes = ", ".join(f"{role} {value:.0f}" for role, value in instability.items())
    return Numbers(rows, f"{about}. {top}. {bottom}. Instability (IS), summed over layers: {changes}.", image)


def least_stable_image(inputs: Inputs, row: Row) -> int:
    """Among images with at most OBJECTS objects, the one whose matching changes most between the student's layers.

    Absent: every image has more.
    """
    table = inputs.query_table(row)
    most, chosen = -1, None
    for part in table.parts(["image", "object"], side="student"):
        ids = part["image"].unique()
        v = by_layer(part["object"], len(ids), table.layers("student"))
        count = (v[-1] >= 0).sum(-1)
        changes = np.where(count <= OBJECTS, (v[1:] != v[:-1]).sum((0, 2)), -1)
        if changes.max() > most:
            most, chosen = int(changes.max()), int(ids[changes.argmax()])
    if chosen is None:
        raise Absent(f"every image has more than {OBJECTS} objects; choose one by --image ID")
    return chosen


def traces(image: ReplayedImage) -> dict[str, Trace]:
    """The traces of "student" and, if there is one, "teacher"."""
    trace = image.trace
    return {"student": trace.student} | ({"teacher": trace.teacher} if trace.teacher else {})


def matching(image: ReplayedImage, role: str) -> Matching:
    """The weights of the detector's matching costs."""
    return getattr(image.run.distiller, role).matching


def matches(image: ReplayedImage, role: str, trace: Trace) -> list[dict]:
    """A row for each layer and matched object: its query, and the pair's cost, margin and runner-up."""
    weights = matching(image, role)
    total = weighted_sum(costs(trace.own, image.trace.targets, weights), weights.weights)
    rows: list[dict] = []
    before: dict[int, int] = {}  # query of each object in the layer before
    for layer in range(len(trace.own.logits)):
        a = trace.assignment.of(layer=layer, image=0)
        query, target = a.query.numpy(), a.target.numpy()
        cost = total[layer, 0].double().numpy()
        margin, runner_up = margins(cost, query, target)
        for q, t, m, other in zip(query.tolist(), target.tolist(), margin.tolist(), runner_up.tolist()):
            row = {"who": role, "stage": layer + 1, "object": t, "class": image.labels[t], "query": q}
            row |= {"cost": float(cost[q, t]), "margin": m, "runner_up": other}
            rows.append(row | {"changed": before.get(t, q) != q})
        before = dict(zip(target.tolist(), query.tolist()))
    return rows


def make(numbers: Numbers) -> Figure:
    """Pictures above, and below a table of layers for each detector."""
    image: ReplayedImage = numbers.extra
    height = 0.55 + 0.3 * min(max(len(image.labels), 1), OBJECTS)
    figure = Figure(figsize=style.size(2.5 + height, columns=2))
    top, bottom = figure.subfigures(2, 1, height_ratios=[2.5, height], squeeze=False)[:, 0]
    draw_pictures(top, image, numbers.rows)
    axes = bottom.subplots(1, len(traces(image)), squeeze=False).ravel()
    for ax, role in zip(axes, traces(image)):
        draw_layers(ax, image, [row for row in numbers.rows if row["who"] == role], role)
    return figure


def draw_pictures(figure: SubFigure, image: ReplayedImage, rows: list[dict]) -> None:
    """The image with its matches for each detector, and the masks of the queries matched with the largest objects."""
    role, trace = image.shown_role, image.shown_trace
    last = [r for r in rows if r["who"] == role and r["stage"] == len(trace.own.logits)]
    size = image.trace.targets.boxes[:, 2:].prod(1)
    last = sorted(last, key=lambda r: -float(size[r["object"]]))[:MASKS]
    grid = figure.add_gridspec(2, 6)
    for column, name in enumerate(traces(image)):
        draw_matches(figure.add_subplot(grid[:, 2 * column : 2 * column + 2]), image, name)
    if len(traces(image)) == 1:
        ax = figure.add_subplot(grid[:, 2:4])
        draw.boxes(draw.picture(ax, image.pixels), image.truth, color=style.TRUTH, texts=image.labels)
        ax.set_title("truth", fontsize=6)
    psi, quality = image.masks()[0], image.quality().ranking()[-1, 0].numpy()
    for k, row in enumerate(last):
        ax = figure.add_subplot(grid[k // 2, 4 + k % 2])
        draw.heat(ax, psi[row["query"]], image.pixels)
        draw.boxes(ax, image.truth[row["object"]], color="white", linestyle=":", width=0.7, edge=False)
        ax.set_title(f"{role}'s query {row['query']}\n{row['class']}, q* {quality[row['query']]:.2f}", fontsize=6)


def draw_matches(ax: Axes, image: ReplayedImage, role: str) -> None:
    """True boxes, the boxes matched with them in the last layer, and a line between the centres of each pair."""
    trace = traces(image)[role]
    draw.boxes(draw.picture(ax, image.pixels), image.truth, color=style.TRUTH)
    a = trace.assignment.of(layer=len(trace.own.logits) - 1, image=0)
    matched = image.boxes(trace)[a.query.numpy()]
    queries = [str(q) for q in a.query.tolist()]
    draw.boxes(ax, matched, color=COLOURS[role], texts=queries, linestyle=(0, (3, 1)))
    for box, true in zip(matched, image.truth[a.target.numpy()]):
        start, end = ((b[:2] + b[2:]) / 2 for b in (box, true))
        line: dict[str, Any] = {"coordsA": "data", "axesA": ax, "color": style.MATCH, "linewidth": 1.2}
        ax.add_patch(ConnectionPatch(start, end, **line))
    ax.set_title(f"{role}, last layer, and truth (green)", fontsize=6)


def draw_layers(ax: Axes, image: ReplayedImage, rows: list[dict], role: str) -> None:
    """A table with a line for each object and a column for each decoder layer; darker cells have larger margins."""
    size = image.trace.targets.boxes[:, 2:].prod(1)
    objects = sorted({r["object"] for r in rows}, key=lambda t: -float(size[t]))[:OBJECTS]
    layers = max((r["stage"] for r in rows), default=1)
    finite = [r["margin"] for r in rows if np.isfinite(r["margin"])]
    top = max(finite, default=1.0) or 1.0
    for row in (r for r in rows if r["object"] in objects):
        x, y, depth = row["stage"] - 1, objects.index(row["object"]), min(row["margin"] / top, 1.0)
        corner, opacity = (x + 0.04, y + 0.08), 0.15 + 0.6 * depth
        edge, width = (CHANGED, 1.4) if row["changed"] else ("white", 0.5)
        ax.add_patch(Rectangle(corner, 0.92, 0.84, facecolor=COLOURS[role], alpha=opacity, linewidth=0))
        ax.add_patch(Rectangle(corner, 0.92, 0.84, fill=False, edgecolor=edge, linewidth=width))
        margin = "∞" if not np.isfinite(row["margin"]) else f"{row['margin']:.2f}"
        ax.text(x + 0.5, y + 0.5, f"query {row['query']}\nmargin {margin}", ha="center", va="center", fontsize=5)
    title = f"{role}: query matched with each object, by layer"
    ax.set(xlim=(0, layers), ylim=(max(len(objects), 1), 0), title=title)
    ax.set_xticks([k + 0.5 for k in range(layers)], [f"layer {k + 1}" for k in range(layers)])
    ax.set_yticks([k + 0.5 for k in range(len(objects))], [f"{image.labels[t]} {t}" for t in objects])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
