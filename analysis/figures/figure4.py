"""Figure 4: masks of the teacher's queries of high and of low quality.

Six panels, chosen by rule: (a) the image; (b), (c) the mask of the query of the highest quality on each of the two largest
objects; (d) of the other queries, the one with the most mask on both; (e), (f) the two queries of the lowest quality q*.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from numpy import ndarray

from analysis.drawing import draw, style
from analysis.figures.base import Numbers
from analysis.inputs.inputs import Absent, Inputs
from analysis.inputs.one_image import ReplayedImage, replay_image
from analysis.inputs.rows import Row, detector_title
from core.boxes import iou
from core.data.sample import Dataset
from core.losses.features import quality
from core.metrics.hits import objects
from core.metrics.query_quality import GAMMA
from core.types import Targets, Trace

LETTERS = "bcdef"


def measure(inputs: Inputs) -> Numbers:
    """A row for each panel with a mask, on an image of the run with the largest images. Absent: there is no run."""
    row = chosen_run(inputs)
    image = inputs.image if inputs.image is not None else chosen_image(inputs, row)
    numbers = panels(replay_image(inputs, row, image))
    return replace(numbers, caption=f"{run_description(row)} {numbers.caption}")


def run_description(row: Row) -> str:
    """The run's detector, data, name and AP, if that was measured, and the weights with which it started."""
    init, ap = Path(row.run.get("init") or "").stem, row.score()
    about = [f"AP {100 * ap:.1f}"] if ap is not None else []
    about += [f"initialised from {init}"] if init else []
    brackets = f" ({', '.join(about)})" if about else ""
    return f"{detector_title(row.detector)} on {row.data}, run {row.name}{brackets}."


def chosen_run(inputs: Inputs) -> Row:
    """The run with the largest images, so that masks have a high resolution; of equal ones a distilled run."""
    inputs.first_run()
    return max(inputs.runs, key=lambda row: (image_size(row), row.kind == "distilled"))


def image_size(row: Row) -> int:
    """The size of the run's images in pixels."""
    data = row.run["data"]
    augment = data["augment"]
    return data["size"] if data["kind"] == "shapes" else augment.get("eval_size") or max(augment["sizes"], default=320)


def chosen_image(inputs: Inputs, row: Row) -> int:
    """Among images with the fewest (at least two) objects, the one whose worst-matched object has the highest quality.

    Absent: no image has objects.
    """
    run = inputs.open_run(row)
    images = fewest_objects(run.data, inputs.limit)
    if not images:
        raise Absent("it needs images with objects, and these have none")
    columns = ["image", "layer", "object", "object_overlap", "object_score"]
    rows = inputs.rows_of_images(row, images, columns, side="student" if run.distiller.teacher is None else "teacher")
    last = rows[(rows["layer"] == rows["layer"].max()) & (rows["object"] >= 0)]
    quality = (last["object_overlap"] * last["object_score"]) ** 0.5
    return int(quality.groupby(last["image"]).min().idxmax())


def fewest_objects(data: Dataset, limit: int) -> list[int]:
    """Ids of those of the first `limit` images with the fewest objects, at least two of them if any image has so many."""
    annotated = objects(data.truth(), data.categories)
    of_image = Counter(annotated.image[~annotated.crowd].tolist())
    counts = {id: of_image[id] for id in data.ids[:limit] if id in of_image}
    fewest = min((count for count in counts.values() if count >= 2), default=1)
    return [id for id, count in counts.items() if count == fewest]


def panels(image: ReplayedImage, pinned: dict[str, int] | None = None) -> Numbers:
    """The masks of the queries that the rules choose, or of the `pinned` queries, by the panel's letter.

    `extra` holds the image and the mask of each panel. Absent: the image has no object.
    """
    if not len(image.truth):
        raise Absent("this image has no object, and Figure 4 is about objects; choose another image")
    psi, places = image.masks()
    q = image.quality()
    quality, inside = q.ranking()[-1, 0].numpy(), image.inside()
    chosen, reasons = choose(image, psi, places, quality)
    chosen |= pinned or {}
    rows = [
        {
            "panel": letter,
            "query": query,
            "why": "pinned" if letter in (pinned or {}) else reasons[letter],
            "quality": float(quality[query]),
            "score": float(q.score[-1, 0, query]),
            "overlap": float(q.overlap[-1, 0, query]),
            "inside": float(inside[query]),
        }
        for letter, query in chosen.items()
    ]
    masks = {letter: psi[query] for letter, query in chosen.items()}
    return Numbers(rows, caption(image, rows, masks, places), (image, masks))


def caption(
    image: ReplayedImage, rows: list[dict], masks: dict[str, Float[ndarray, "h w"]], places: Bool[ndarray, "t h w"]
) -> str:
    """The caption: what is drawn, by which rules, and the share of the masks inside true boxes."""
    size = "×".join(map(str, image.sample.size[::-1]))
    about = (
        f"Image {image.sample.id} ({size} pixels) and masks of the {image.shown_role}'s queries, last decoder layer, features "
        f"of stride {image.stride}"
    )
    rules = (
        "(b), (c): highest quality on each of the two largest objects, from class score and IoU with it; (d): of the other "
        "queries, most mask on both; (e), (f): lowest quality q*"
    )
    scale = f"Colours from 0 to {max(mask.max() for mask in masks.values()):.2f}, the maximum of the five masks"
    top, low = (np.mean([r["inside"] for r in rows if r["panel"] in letters]) for letters in ("bc", "ef"))
    shares = f"{100 * top:.0f}% of the mass of (b), (c) and {100 * low:.0f}% of that of (e), (f) lies inside true boxes"
    return f"{about}. {rules}. {scale}. {shares}, which contain {100 * object_area(places):.0f}% of the places."


def object_area(places: Bool[ndarray, "t h w"]) -> float:
    """The share of places that lie in any object; 0 without objects."""
    return float(places.any(0).mean()) if len(places) else 0.0


def choose(
    image: ReplayedImage, psi: Float[ndarray, "q h w"], places: Bool[ndarray, "t h w"], quality: Float[ndarray, " q"]
) -> tuple[dict[str, int], dict[str, str]]:
    """The query of each panel by the figure's rules, and the reason in a few words."""
    targets = image.trace.targets
    largest = (targets.boxes[:, 2] * targets.boxes[:, 3]).argsort(descending=True)[:2].tolist()
    chosen, reasons = {}, {}
    for letter, t in zip("bc", largest):
        chosen[letter] = best_query_on(image.shown_trace, targets, t)
        reasons[letter] = f"highest quality on the {image.labels[t]}"
    free = [query for query in range(len(psi)) if query not in chosen.values()]
    if len(largest) == 2 and free:
        shares = np.stack([(psi * places[t]).sum((1, 2)) for t in largest]) / psi.sum((1, 2)).clip(1e-12)
        chosen["d"] = max(free, key=lambda query: shares[:, query].min())
        reasons["d"] = "other, most on both"
    for letter, query in zip("ef", np.argsort(quality)):
        chosen[letter], reasons[letter] = int(query), "lowest quality"
    return chosen, reasons


def best_query_on(trace: Trace, targets: Targets, target: int) -> int:
    """The query of the highest quality for one object: Eq. 8 with the score of its class and the IoU with its box.

    By the box alone it could be a query that takes the object for one of another class.
    """
    boxes = trace.own.boxes[-1, 0]
    score = trace.own.logits[-1, 0, :, targets.labels[target]].float().sigmoid()
    return int(quality(score, iou(boxes, targets.boxes[target].expand_as(boxes)), GAMMA).argmax())


def make(numbers: Numbers) -> Figure:
    """The image and five masks in one line, with a colour bar."""
    image, masks = numbers.extra
    figure = Figure(figsize=style.size(1.45, columns=2))
    axes = figure.subplots(1, 6)
    draw.boxes(draw.picture(axes[0], image.pixels), image.truth, color=style.TRUTH, texts=image.labels)
    axes[0].set_title("(a) image\nand truth", fontsize=6)
    top, heat = float(max(mask.max() for mask in masks.values())), None
    for ax, row in zip(axes[1:], numbers.rows):
        heat = draw.heat(ax, masks[row["panel"]], image.pixels, most=top)
        draw.boxes(ax, image.truth, color="white", linestyle=":", width=0.7, edge=False)
        why = row["why"].replace(" on ", "\non ")
        ax.set_title(f"({row['panel']}) {why}\nq* {row['quality']:.2f}, {100 * row['inside']:.0f}% inside", fontsize=6)
    for ax in axes[1 + len(numbers.rows) :]:
        ax.axis("off")
    assert heat is not None, "two queries of low quality are always shown"
    bar = figure.colorbar(heat, ax=axes.tolist(), shrink=0.75, pad=0.005, aspect=18)
    bar.ax.tick_params(labelsize=5.5, width=0.5)
    bar.set_label("inner product" if image.config.mask == "inner" else "cosine", fontsize=6)
    bar.outline.set_linewidth(0.4)
    return figure
