"""Objects that the distilled student found and the student alone did not, and the other way round: a contact sheet.

An object is found by a detection of its class at IoU 0.5 that scores SURE or more.
"""

import numpy as np
from einops import rearrange
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from analysis.drawing import draw, style
from analysis.figures.base import Numbers
from analysis.inputs.given import Absent, Given
from analysis.inputs.groups import Stand
from core.metrics.gained_lost import MIN_SCORE, changes
from core.metrics.hits import overlaps

TILES = 6  # of each kind
MARGIN = 0.6  # of the object's longer side, around it


def measure(given: Given) -> Numbers:
    stand = next((stand for stand in given.measurable() if stand.whole and at_hand(stand)), None)
    if stand is None:
        raise Absent("it needs the runs of a student alone and of the same student distilled, with their weights")
    rows = [next(row for row in stand.groups[kind].rows if row.folder) for kind in ("student", "distilled")]
    tables = [given.collected(row) for row in rows]
    if tables[0].about["truth"] != tables[1].about["truth"]:
        raise Absent("the two runs were measured on different images")
    found = [table.detections("student") for table in tables]
    seen = changes(*found, tables[0].objects)
    kept = {kind: best(seen, kind) for kind in ("gained", "lost")}
    tiles = [tile(seen, k, kind, found, tables[0]) for kind, places in kept.items() for k in places]
    run = given.opened(rows[0])
    extra = [crop(run, t) for t in tiles]
    counts = {kind: seen.count(kind) for kind in ("kept", "gained", "lost", "missed")}
    told = ", ".join(f"{n} {kind}" for kind, n in counts.items())
    which = f"first {tables[0].about['images']} images, seed {rows[0].seed}"
    about = f"Of {len(seen.object)} objects on {stand.label} ({which}): {told}"
    rule = f"Found: by a detection of its class at IoU 0.5 that scores {MIN_SCORE} or more; shown: the largest changes of score"
    return Numbers(
        [{k: v for k, v in t.items() if k != "rows"} for t in tiles], f"{about}. {rule}.", list(zip(tiles, extra))
    )


def at_hand(stand: Stand) -> bool:
    return all(any(row.folder for row in group.rows) for group in stand.groups.values())


def best(seen, kind: str) -> list[int]:
    """Places of the objects of this kind, the largest change of score first."""
    places = np.flatnonzero(seen.kind == kind)
    change = np.abs(seen.after - seen.before)[places]
    return places[np.argsort(-change, kind="stable")][:TILES].tolist()


def tile(seen, place: int, kind: str, found, table) -> dict:
    """The object, what each model says there, and where to cut."""
    row = seen.object[place]
    x, y, w, h = table.objects.boxes[row]
    near = {who: nearest(detections, table, row) for who, detections in zip(("alone", "distilled"), found)}
    return {
        "kind": kind,
        "image": int(table.objects.image[row]),
        "class": table.categories[table.objects.label[row]].name,
        "before": float(seen.before[place]),
        "after": float(seen.after[place]),
        **{name: float(v) for name, v in zip(("x0", "y0", "x1", "y1"), (x, y, x + w, y + h))},
        "rows": near,
    }


def nearest(detections, table, row: int) -> dict | None:
    """Of the model's sure detections the one that overlaps the object most, if by anything."""
    here = np.flatnonzero(
        (detections.image_ids.numpy() == table.objects.image[row]) & (detections.scores.numpy() >= MIN_SCORE)
    )
    if not len(here):
        return None
    corners = detections.boxes.numpy()[here].astype(float)
    sides = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    overlap = overlaps(sides, table.objects.boxes[row : row + 1], crowd=False)[:, 0]
    if overlap.max() < 0.1:
        return None
    k = int(overlap.argmax())
    name = table.categories[int(detections.labels[here[k]])].name
    return {"box": corners[k], "class": name, "score": float(detections.scores[here[k]])}


def crop(run, found: dict) -> tuple[np.ndarray, np.ndarray]:
    """The picture of the image, and the square (x0, y0, x1, y1) around the object that is shown."""
    pixels = rearrange(run.data[run.data.ids.index(found["image"])].pixels, "c h w -> h w c").numpy()
    height, width = pixels.shape[:2]
    side = min((1 + 2 * MARGIN) * max(found["x1"] - found["x0"], found["y1"] - found["y0"]), width, height)
    x = float(np.clip((found["x0"] + found["x1"] - side) / 2, 0, width - side))
    y = float(np.clip((found["y0"] + found["y1"] - side) / 2, 0, height - side))
    return pixels, np.array([x, y, x + side, y + side])


def make(numbers: Numbers) -> Figure:
    figure = Figure(figsize=style.size(3.2, columns=2))
    grid = GridSpec(2, TILES, figure=figure)
    for line, kind in enumerate(("gained", "lost")):
        mine = [x for x in numbers.extra if x[0]["kind"] == kind]
        for column in range(TILES):
            ax = figure.add_subplot(grid[line, column])
            if column < len(mine):
                show(ax, *mine[column])
            else:
                ax.axis("off")
            if column == 0:
                ax.text(-0.06, 0.5, kind, rotation=90, ha="right", va="center", transform=ax.transAxes, fontsize=8)
    handles = [
        draw.key(color=style.TRUTH, label="truth"),
        draw.key(color=style.STUDENT, label="student alone", linestyle="--"),
    ]
    handles.append(draw.key(color=style.DISTILLED, label="student distilled"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def show(ax, found: dict, cut: tuple) -> None:
    pixels, (x0, y0, x1, y1) = cut
    draw.picture(ax, pixels)
    ax.set(xlim=(x0, x1), ylim=(y1, y0))
    draw.boxes(ax, np.array([[found[k] for k in ("x0", "y0", "x1", "y1")]]), color=style.TRUTH)
    for who, colour, dash in (("alone", style.STUDENT, "--"), ("distilled", style.DISTILLED, "-")):
        if said := found["rows"][who]:
            draw.boxes(ax, said["box"][None], color=colour, linestyle=dash, width=1.0)
    told = {who: f"{said['class']} {said['score']:.2f}" if said else "nothing" for who, said in found["rows"].items()}
    lines = [f"image {found['image']}: {found['class']}", *(f"{who}: {words}" for who, words in told.items())]
    ax.set_title("\n".join(lines), fontsize=5.5)
