"""One image explained: who answers for what, where good queries look, and which matches change from stage to stage."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle

from analysis.drawing import draw, style
from analysis.figures.base import Numbers
from analysis.inputs.given import Given
from analysis.inputs.one_image import Seen, seen
from analysis.inputs.rows import Row, title
from analysis.query_table.measure import by_layer
from core.matching.costs import Matching, costs, weighted_sum
from core.matching.margins import margins
from core.metrics.instability import assigned_objects, between_layers
from core.types import Trace

MASKS = 4  # at most
OBJECTS = 8  # at most, the largest, in the tables of stages
COLOURS = {"student": style.DISTILLED, "teacher": style.TEACHER}


def measure(given: Given) -> Numbers:
    row = next((row for row in given.runs if row.kind == "distilled"), None) or given.run()
    image = given.image if given.image is not None else restless(given, row)
    found = seen(given, row, image)
    rows = [r for who, side in sides(found).items() for r in answers(found, who, side)]
    unstable = {who: sum(between_layers(assigned_objects(side).numpy()).tolist()) for who, side in sides(found).items()}
    told = ", ".join(f"{who} {value:.0f}" for who, value in unstable.items())
    about = f"Image {image} of {title(row.detector)} on {row.data}, run {row.name}"
    says = "Cells name the query that answers for an object in a stage and its margin: what the assignment would lose without it"
    framed = "framed: another query than one stage before"
    return Numbers(rows, f"{about}. {says}; {framed}. Changes over the stages (IS): {told}.", found)


def restless(given: Given, row: Row) -> int:
    """Of the images with at most OBJECTS objects the one whose matching changes most over the student's stages."""
    table = given.collected(row)
    most, chosen = -1, 0
    for part in table.parts(["image", "object"], side="student"):
        ids = part["image"].unique()
        v = by_layer(part["object"], len(ids), table.layers("student"))
        count = (v[-1] >= 0).sum(-1)
        changes = np.where(count <= OBJECTS, (v[1:] != v[:-1]).sum((0, 2)), -1)
        if changes.max() > most:
            most, chosen = int(changes.max()), int(ids[changes.argmax()])
    return chosen


def sides(found: Seen) -> dict[str, Trace]:
    trace = found.trace
    return {"student": trace.student} | ({"teacher": trace.teacher} if trace.teacher else {})


def matching(found: Seen, who: str) -> Matching:
    return getattr(found.run.distiller, who).matching


def answers(found: Seen, who: str, side: Trace) -> list[dict]:
    """A row for each stage and object: its query, the pair's cost, margin and runner-up."""
    cost = weighted_sum(costs(side.own, found.trace.targets, matching(found, who)), matching(found, who).weights)
    rows, before = [], {}
    for layer in range(len(side.own.logits)):
        a = side.assignment.of(layer=layer, image=0)
        query, target = a.query.numpy(), a.target.numpy()
        price = cost[layer, 0].double().numpy()
        dear, runner = margins(price, query, target)
        for q, t, margin, other in zip(query.tolist(), target.tolist(), dear.tolist(), runner.tolist()):
            about = {"who": who, "stage": layer + 1, "object": t, "class": found.labels[t], "query": q}
            about |= {"cost": float(price[q, t]), "margin": margin, "runner_up": other}
            rows.append(about | {"changed": before.get(t, q) != q})
        before = dict(zip(target.tolist(), query.tolist()))
    return rows


def make(numbers: Numbers) -> Figure:
    found = numbers.extra
    tall = 0.55 + 0.3 * min(max(len(found.labels), 1), OBJECTS)
    figure = Figure(figsize=style.size(2.5 + tall, columns=2))
    top, bottom = figure.subfigures(2, 1, height_ratios=[2.5, tall])
    pictures(top, found, numbers.rows)
    tables = bottom.subplots(1, len(sides(found)), squeeze=False).ravel()
    for ax, who in zip(tables, sides(found)):
        ribbons(ax, found, [row for row in numbers.rows if row["who"] == who], who)
    return figure


def pictures(figure, found: Seen, rows: list[dict]) -> None:
    """The image with truth and matches, large, then the masks of the queries that answer for the largest objects."""
    who, side = found.looker
    last = [r for r in rows if r["who"] == who and r["stage"] == len(side.own.logits)]
    size = found.trace.targets.boxes[:, 2:].prod(1)
    last = sorted(last, key=lambda r: -float(size[r["object"]]))[:MASKS]
    grid = figure.add_gridspec(2, 6)
    for column, name in enumerate(sides(found)):
        matches(figure.add_subplot(grid[:, 2 * column : 2 * column + 2]), found, name)
    if len(sides(found)) == 1:
        ax = figure.add_subplot(grid[:, 2:4])
        draw.boxes(draw.picture(ax, found.pixels), found.truth, color=style.TRUTH, texts=found.labels)
        ax.set_title("truth", fontsize=6)
    psi, quality = found.masks()[0], found.quality().ranking()[-1, 0].numpy()
    for k, row in enumerate(last):
        ax = figure.add_subplot(grid[k // 2, 4 + k % 2])
        draw.heat(ax, psi[row["query"]], found.pixels)
        draw.boxes(ax, found.truth[row["object"]], color="white", linestyle=":", width=0.7, edge=False)
        ax.set_title(f"{who}'s query {row['query']}\n{row['class']}, q* {quality[row['query']]:.2f}", fontsize=6)


def matches(ax: Axes, found: Seen, who: str) -> None:
    """Truth, the boxes that answer for it in the last stage, and a line between their centres."""
    side = sides(found)[who]
    draw.boxes(draw.picture(ax, found.pixels), found.truth, color=style.TRUTH)
    a = side.assignment.of(layer=len(side.own.logits) - 1, image=0)
    mine = found.boxes(side)[a.query.numpy()]
    draw.boxes(ax, mine, color=COLOURS[who], texts=[str(q) for q in a.query.tolist()], linestyle=(0, (3, 1)))
    for box, true in zip(mine, found.truth[a.target.numpy()]):
        ends = [(b[:2] + b[2:]) / 2 for b in (box, true)]
        ax.add_patch(ConnectionPatch(*ends, "data", axesA=ax, color=style.MATCH, linewidth=1.2))
    ax.set_title(f"{who}, last stage, and truth (green)", fontsize=6)


def ribbons(ax: Axes, found: Seen, rows: list[dict], who: str) -> None:
    """A line for each object, a cell for each stage; darker is a larger margin."""
    size = found.trace.targets.boxes[:, 2:].prod(1)
    objects = sorted({r["object"] for r in rows}, key=lambda t: -float(size[t]))[:OBJECTS]
    stages = max((r["stage"] for r in rows), default=1)
    finite = [r["margin"] for r in rows if np.isfinite(r["margin"])]
    top = max(finite, default=1.0) or 1.0
    for row in (r for r in rows if r["object"] in objects):
        x, y, depth = row["stage"] - 1, objects.index(row["object"]), min(row["margin"] / top, 1.0)
        look = (
            {"edgecolor": "#D55E00", "linewidth": 1.4} if row["changed"] else {"edgecolor": "white", "linewidth": 0.5}
        )
        ax.add_patch(
            Rectangle((x + 0.04, y + 0.08), 0.92, 0.84, facecolor=COLOURS[who], alpha=0.15 + 0.6 * depth, linewidth=0)
        )
        ax.add_patch(Rectangle((x + 0.04, y + 0.08), 0.92, 0.84, fill=False, **look))
        margin = "∞" if not np.isfinite(row["margin"]) else f"{row['margin']:.2f}"
        ax.text(x + 0.5, y + 0.5, f"query {row['query']}\nmargin {margin}", ha="center", va="center", fontsize=5)
    ax.set(xlim=(0, stages), ylim=(max(len(objects), 1), 0), title=f"{who}: who answers for each object, by stage")
    ax.set_xticks([k + 0.5 for k in range(stages)], [f"stage {k + 1}" for k in range(stages)])
    ax.set_yticks([k + 0.5 for k in range(len(objects))], [f"{found.labels[t]} {t}" for t in objects])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
