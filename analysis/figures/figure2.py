"""Figure 2: where a convolutional detector looks, and where one of queries does.

The convolutional one is torchvision's FCOS on a tiny backbone, trained on `shapes`: a stand-in for the paper's ATSS. Its map is
the geometric mean of best class score and centerness, the largest over its levels; that of queries is the mean mask of those
that answer for an object.
"""

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.nn.functional import interpolate

from analysis.drawing import draw, style
from analysis.figures.base import Numbers
from analysis.inputs.given import Absent, Given
from analysis.inputs.one_image import Seen, seen
from analysis.inputs.rows import Row, title
from core.project import ASSETS
from core.runs import fcos

WEIGHTS = ASSETS / "fcos_shapes.safetensors"  # made by `python -m train study convolutional`
IMAGES, SHOWN = 60, 2  # measured, and shown: those with most objects


def measure(given: Given) -> Numbers:
    if not WEIGHTS.exists():
        raise Absent(f"{WEIGHTS.name} is missing; make it with: python -m train study convolutional")
    model, card = fcos.load(WEIGHTS)
    row = chosen_run(given, card["size"])
    data = given.opened(row).data
    rows, extra = [], []
    counts = {id: len(data[k].labels) for k, id in enumerate(data.ids[:IMAGES])}
    shown = [given.image] if given.image is not None else sorted(counts, key=lambda i: (-counts[i], i))[:SHOWN]
    for image in dict.fromkeys([*shown, *(i for i in counts if counts[i])]):
        found = seen(given, row, image)
        maps = {"convolutional": convolutional(model, found), "queries": queries(found)}
        inside = places(found, maps["queries"].shape)
        about = {"image": image, "shown": image in shown, "area": float(inside.mean())}
        rows.append(about | {name: share(m, inside) for name, m in maps.items()})
        if image in shown:
            extra.append((found, maps))
    return Numbers(rows, caption(row, rows, card), extra)


def chosen_run(given: Given, size: int) -> Row:
    """On what the convolutional one was trained on; a distilled one before one alone."""
    given.run()
    rows = [r for r in given.runs if (r.run["data"]["kind"], r.run["data"]["size"]) == ("shapes", size)]
    if not rows:
        raise Absent(f"its convolutional stand-in knows the drawn shapes of {size} pixels only: give a run on those")
    return max(rows, key=lambda row: row.kind == "distilled")


def convolutional(model, found: Seen) -> np.ndarray:
    height, width = found.sample.size
    levels = fcos.activation(model, found.sample.pixels)
    grown = [interpolate(x[None, None], (height, width), mode="bilinear")[0, 0] for x in levels]
    return torch.stack(grown).amax(0).numpy()


def queries(found: Seen) -> np.ndarray:
    """Over the picture's pixels."""
    psi, _ = found.masks()
    _, side = found.looker
    a = side.assignment.of(layer=len(side.own.logits) - 1, image=0)
    mean = torch.from_numpy(psi[a.query.numpy()].mean(0))
    grown = interpolate(mean[None, None], scale_factor=found.stride, mode="bilinear")[0, 0]
    height, width = found.sample.size
    return grown[:height, :width].numpy()


def places(found: Seen, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies in a true box."""
    y, x = (np.arange(n) + 0.5 for n in shape)
    inside = np.zeros(shape, dtype=bool)
    for x0, y0, x1, y1 in found.truth:
        inside |= ((y0 <= y) & (y < y1))[:, None] & ((x0 <= x) & (x < x1))
    return inside


def share(values: np.ndarray, inside: np.ndarray) -> float:
    return float((values * inside).sum() / max(values.sum(), 1e-12))


def caption(row, rows: list[dict], card: dict) -> str:
    means = {key: 100 * np.mean([r[key] for r in rows]) for key in ("convolutional", "queries", "area")}
    ap = 100 * card["scores"]["ap"]
    return (
        f"FCOS (a stand-in on a tiny backbone, AP {ap:.1f} on shapes/val) and the queries of {title(row.detector)} that "
        f"answer for an object; each map from 0 to its maximum. Over {len(rows)} images the share of mass inside true boxes is "
        f"{means['convolutional']:.0f}% and {means['queries']:.0f}%; {means['area']:.0f}% of the area lies there."
    )


def make(numbers: Numbers) -> Figure:
    figure = Figure(figsize=style.size(0.15 + 1.12 * len(numbers.extra)))
    axes = figure.subplots(len(numbers.extra), 3, squeeze=False)
    for line, (found, maps) in zip(axes, numbers.extra):
        draw.boxes(draw.picture(line[0], found.pixels), found.truth, color=style.TRUTH)
        for ax, values in zip(line[1:], maps.values()):
            draw.heat(ax, values, found.pixels)
            draw.boxes(ax, found.truth, color="white", linestyle=":", width=0.7, edge=False)
    for ax, text in zip(axes[0], ("image and truth", "convolutional (FCOS)", "queries")):
        ax.set_title(text)
    return figure
