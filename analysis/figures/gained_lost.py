"""Objects that only the distilled student, or only the student alone, finds.

A contact sheet. An object is found by a detection of its class with an IoU of at least 0.5 and a score of at least
MIN_SCORE.
"""

from dataclasses import dataclass

import numpy as np
from einops import rearrange
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from numpy import ndarray

from analysis.drawing import draw, style
from analysis.figures.base import Numbers
from analysis.inputs.groups import Comparison
from analysis.inputs.inputs import Absent, Inputs
from analysis.inputs.rows import Row
from analysis.query_table.read import QueryTable
from core.metrics.detections import Detections
from core.metrics.gained_lost import MIN_SCORE, Changes, Kind, changes
from core.metrics.hits import overlaps
from core.runs.open import OpenRun

TILES = 6  # of each kind
MARGIN = 0.6  # of the object's longer side, around it
KINDS: tuple[Kind, ...] = ("gained", "lost")  # that are drawn


@dataclass(frozen=True)
class Detection:
    """A detection as a tile shows it."""

    box: Float[ndarray, " 4"]  # (x0, y0, x1, y1) in pixels
    name: str  # of its class
    score: float


@dataclass(frozen=True)
class Tile:
    """One object as it is drawn."""

    row: dict  # the line of the CSV
    nearest: dict[str, Detection | None]  # the detection nearest to the object, by student: "alone", "distilled"
    pixels: UInt8[ndarray, "h w 3"]  # the whole image
    square: Float[ndarray, " 4"]  # the part that is drawn: (x0, y0, x1, y1)


def measure(inputs: Inputs) -> Numbers:
    """A row for each drawn object, those with the largest change of score; `extra` holds the tiles.

    Absent: there is no pair of a student alone and distilled with weights and the same images.
    """
    comparison = next((c for c in inputs.measurable_comparisons() if c.complete and has_weights(c)), None)
    if comparison is None:
        raise Absent("it needs the runs of a student alone and of the same student distilled, with their weights")
    rows = [next(row for row in comparison.groups[kind].rows if row.folder) for kind in ("student", "distilled")]
    tables = [inputs.query_table(row) for row in rows]
    if tables[0].about["truth"] != tables[1].about["truth"]:
        raise Absent("the two runs were measured on different images")
    alone, distilled = (table.detections("student") for table in tables)
    differences = changes(alone, distilled, tables[0].objects)
    detections = {"alone": alone, "distilled": distilled}
    run = inputs.open_run(rows[0])
    tiles = [
        tile(differences, k, kind, detections, tables[0], run)
        for kind in KINDS
        for k in most_changed(differences, kind)
    ]
    return Numbers([t.row for t in tiles], caption(differences, comparison, tables[0], rows[0]), tiles)


def caption(differences: Changes, comparison: Comparison, table: QueryTable, row: Row) -> str:
    """The caption: how many objects were kept, gained, lost and missed, and what these words mean."""
    kinds: tuple[Kind, ...] = ("kept", "gained", "lost", "missed")
    counts = ", ".join(f"{differences.count(kind)} {kind}" for kind in kinds)
    images = f"first {table.about['images']} validation images, seed {row.seed}"
    rule = f"An object is found by a detection of its class with IoU at least 0.5 and score at least {MIN_SCORE}"
    meaning = (
        "kept: by both students; gained: by the distilled one only; lost: by the one alone only; missed: by neither"
    )
    about = f"Of {len(differences.object)} objects on {comparison.label} ({images}): {counts}"
    return f"{about}. {rule}; {meaning}. Shown are the largest changes of score."


def has_weights(comparison: Comparison) -> bool:
    """Returns whether each group has a row with weights."""
    return all(any(row.folder for row in group.rows) for group in comparison.groups.values())


def most_changed(differences: Changes, kind: Kind) -> list[int]:
    """Positions of up to TILES objects of this kind, by decreasing change of score."""
    positions = np.flatnonzero(differences.kind == kind)
    size = np.abs(differences.after - differences.before)[positions]
    return positions[np.argsort(-size, kind="stable")][:TILES].tolist()


def tile(
    differences: Changes, position: int, kind: Kind, detections: dict[str, Detections], table: QueryTable, run: OpenRun
) -> Tile:
    """The tile of the object at a position of `differences`."""
    index = int(differences.object[position])
    x, y, w, h = table.objects.boxes[index]
    row = {
        "kind": kind,
        "image": int(table.objects.image[index]),
        "class": table.categories[table.objects.label[index]].name,
        "before": float(differences.before[position]),
        "after": float(differences.after[position]),
        **{name: float(v) for name, v in zip(("x0", "y0", "x1", "y1"), (x, y, x + w, y + h))},
    }
    near = {student: nearest(each, table, index) for student, each in detections.items()}
    return Tile(row, near, *crop(run, row))


def nearest(detections: Detections, table: QueryTable, index: int) -> Detection | None:
    """The detection that overlaps an object most, among those of at least MIN_SCORE and IoU 0.1; None if there is none."""
    candidates = np.flatnonzero(
        (detections.image_ids.numpy() == table.objects.image[index]) & (detections.scores.numpy() >= MIN_SCORE)
    )
    if not len(candidates):
        return None
    corners = detections.boxes.numpy()[candidates].astype(float)
    sizes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    overlap = overlaps(sizes, table.objects.boxes[index : index + 1], crowd=False)[:, 0]
    if overlap.max() < 0.1:
        return None
    k = int(overlap.argmax())
    name = table.categories[int(detections.labels[candidates[k]])].name
    return Detection(corners[k], name, float(detections.scores[candidates[k]]))


def crop(run: OpenRun, row: dict) -> tuple[UInt8[ndarray, "h w 3"], Float[ndarray, " 4"]]:
    """The image of an object, and the square around the object (x0, y0, x1, y1), which lies within the image."""
    pixels = rearrange(run.data[run.data.ids.index(row["image"])].pixels, "c h w -> h w c").numpy()
    height, width = pixels.shape[:2]
    side = min((1 + 2 * MARGIN) * max(row["x1"] - row["x0"], row["y1"] - row["y0"]), width, height)
    x = float(np.clip((row["x0"] + row["x1"] - side) / 2, 0, width - side))
    y = float(np.clip((row["y0"] + row["y1"] - side) / 2, 0, height - side))
    return pixels, np.array([x, y, x + side, y + side])


def make(numbers: Numbers) -> Figure:
    """A line of tiles for each kind."""
    figure = Figure(figsize=style.size(3.2, columns=2))
    grid = GridSpec(len(KINDS), TILES, figure=figure)
    for line, kind in enumerate(KINDS):
        tiles = [tile for tile in numbers.extra if tile.row["kind"] == kind]
        for column in range(TILES):
            ax = figure.add_subplot(grid[line, column])
            if column < len(tiles):
                draw_tile(ax, tiles[column])
            else:
                ax.axis("off")
            if column == 0:
                ax.text(-0.06, 0.5, kind, rotation=90, ha="right", va="center", transform=ax.transAxes, fontsize=8)
    handles = [
        draw.legend_entry(color=style.TRUTH, label="truth"),
        draw.legend_entry(color=style.STUDENT, label="student alone", linestyle="--"),
        draw.legend_entry(color=style.DISTILLED, label="student distilled"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def draw_tile(ax: Axes, tile: Tile) -> None:
    """Draws the object's box and the nearest detections, with their classes and scores as a title."""
    x0, y0, x1, y1 = tile.square
    draw.picture(ax, tile.pixels)
    ax.set(xlim=(x0, x1), ylim=(y1, y0))
    draw.boxes(ax, np.array([[tile.row[k] for k in ("x0", "y0", "x1", "y1")]]), color=style.TRUTH)
    lines = [f"image {tile.row['image']}: {tile.row['class']}"]
    for student, colour, dash in (("alone", style.STUDENT, "--"), ("distilled", style.DISTILLED, "-")):
        if detection := tile.nearest[student]:
            draw.boxes(ax, detection.box[None], color=colour, linestyle=dash, width=1.0)
        lines.append(f"{student}: {detection.name} {detection.score:.2f}" if detection else f"{student}: nothing")
    ax.set_title("\n".join(lines), fontsize=5.5)
