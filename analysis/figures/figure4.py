"""Figure 4: where the teacher's queries look: good ones at objects, poor ones anywhere.

Six panels, chosen by rule: (a) the image; (b), (c) the mask of the query whose box fits each of the two largest objects best;
(d) of the others, the query whose mask is most on both; (e), (f) the two queries of the lowest quality q*.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.figures.base import Numbers
from analysis.inputs.given import Given
from analysis.inputs.one_image import Seen, seen
from analysis.inputs.rows import Row, title
from core.boxes import iou

LETTERS = "bcdef"


def measure(given: Given) -> Numbers:
    row = chosen_run(given)
    image = given.image if given.image is not None else chosen_image(given, row)
    found = panels(seen(given, row, image))
    return replace(found, caption=f"{source(row)} {found.caption}")


def source(row: Row) -> str:
    """Which run it is, and where it began."""
    start = Path(row.run.get("init") or "").stem
    begun = f", begun from {start}" if start else ""
    return f"{title(row.detector)} on {row.data}, run {row.name} (AP {100 * row.told['ap']:.1f}{begun})."


def chosen_run(given: Given) -> Row:
    """The run of the largest images, so that masks have places to show; a distilled one before one alone."""
    given.run()
    return max(given.runs, key=lambda row: (pixels(row), row.kind == "distilled"))


def pixels(row: Row) -> int:
    data = row.run["data"]
    return data["size"] if data["kind"] == "shapes" else max(data["augment"]["sizes"], default=320)


def chosen_image(given: Given, row: Row) -> int:
    """Of the images with the fewest objects, but two at least, the one whose worse answered of them is answered best."""
    table = given.collected(row)
    side = "teacher" if table.taught else "student"
    last = table.rows(["image", "object", "object_overlap", "object_score"], side=side, layer=table.layers(side) - 1)
    last = last[last["object"] >= 0]
    last["quality"] = (last["object_overlap"] * last["object_score"]) ** 0.5
    by = last.groupby("image").agg(count=("object", "size"), worst=("quality", "min"))
    few = by[by["count"] == by["count"][by["count"] >= 2].min()] if (by["count"] >= 2).any() else by
    return int(few["worst"].idxmax())


def panels(found: Seen, pinned: dict[str, int] | None = None) -> Numbers:
    """The masks of the queries that the rules choose, or of those `pinned`, by letter."""
    psi, places = found.masks()
    who = {"teacher": "teacher's", "student": "run's own"}[found.looker[0]]
    q = found.quality()
    quality, inside = q.ranking()[-1, 0].numpy(), found.inside()
    chosen, why = choose(found, psi, places, quality)
    chosen |= pinned or {}
    rows = [
        {
            "panel": letter,
            "query": query,
            "why": "pinned" if letter in (pinned or {}) else why[letter],
            "quality": float(quality[query]),
            "score": float(q.score[-1, 0, query]),
            "overlap": float(q.overlap[-1, 0, query]),
            "inside": float(inside[query]),
        }
        for letter, query in chosen.items()
    ]
    image, size = found.sample.id, "×".join(map(str, found.sample.size[::-1]))
    about = (
        f"Image {image} ({size} pixels) and masks of the {who} queries, last stage, features of stride {found.stride}"
    )
    rules = "(b), (c) best box on each of the two largest objects; (d) of the others the one most on both; (e), (f) lowest q*"
    scale = f"colour from 0 to {max(psi[query].max() for query in chosen.values()):.2f}, the largest value of the five"
    top, low = (np.mean([r["inside"] for r in rows if r["panel"] in letters]) for letters in ("bc", "ef"))
    outcome = f"Inside boxes lie {100 * top:.0f}% of the mass of (b), (c) and {100 * low:.0f}% of that of (e), (f)"
    chance = f"{100 * look_area(places):.0f}% of the places are"
    caption = f"{about}. {rules}; {scale}. {outcome}; {chance}."
    return Numbers(rows, caption, (found, {letter: psi[query] for letter, query in chosen.items()}))


def look_area(places: np.ndarray) -> float:
    return float(places.any(0).mean()) if len(places) else 0.0


def choose(found: Seen, psi, places, quality) -> tuple[dict[str, int], dict[str, str]]:
    """A query for each letter, and why."""
    boxes, targets = found.looker[1].own.boxes[-1, 0], found.trace.targets
    largest = (targets.boxes[:, 2] * targets.boxes[:, 3]).argsort(descending=True)[:2].tolist()
    chosen, why = {}, {}
    for letter, t in zip("bc", largest):
        chosen[letter] = int(iou(boxes, targets.boxes[t].expand_as(boxes)).argmax())
        why[letter] = f"best box on the {found.labels[t]}"
    free = [query for query in range(len(psi)) if query not in chosen.values()]
    if len(largest) == 2:
        shares = np.stack([(psi * places[t]).sum((1, 2)) for t in largest]) / psi.sum((1, 2)).clip(1e-12)
        chosen["d"] = max(free, key=lambda query: shares[:, query].min())
        why["d"] = "other, most on both"
    for letter, query in zip("ef", np.argsort(quality)):
        chosen[letter], why[letter] = int(query), "lowest quality"
    return chosen, why


def make(numbers: Numbers) -> Figure:
    found, masks = numbers.extra
    figure = Figure(figsize=style.size(1.45, columns=2))
    axes = figure.subplots(1, 6)
    draw.boxes(draw.picture(axes[0], found.pixels), found.truth, color=style.TRUTH, texts=found.labels)
    axes[0].set_title("(a) image\nand truth", fontsize=6)
    top, shown = max(mask.max() for mask in masks.values()), None
    for ax, row in zip(axes[1:], numbers.rows):
        shown = draw.heat(ax, masks[row["panel"]], found.pixels, most=float(top))
        draw.boxes(ax, found.truth, color="white", linestyle=":", width=0.7, edge=False)
        why = row["why"].replace(" on ", "\non ")
        ax.set_title(f"({row['panel']}) {why}\nq* {row['quality']:.2f}, {100 * row['inside']:.0f}% inside", fontsize=6)
    for ax in axes[1 + len(numbers.rows) :]:
        ax.axis("off")
    bar = figure.colorbar(shown, ax=axes.tolist(), shrink=0.75, pad=0.005, aspect=18)
    bar.ax.tick_params(labelsize=5.5, width=0.5)
    bar.set_label("inner product" if found.config.mask == "inner" else "cosine", fontsize=6)
    bar.outline.set_linewidth(0.4)
    return figure
