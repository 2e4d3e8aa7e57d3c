"""Figure 2: where a convolutional detector and a query-based one attend.

The convolutional detector is torchvision's FCOS on a tiny backbone, trained on `shapes`, in place of the paper's ATSS. Its map is
the geometric mean of best class score and centerness, the maximum over its levels. The map of the query-based detector is
the mean mask of its matched queries.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from numpy import ndarray
from torch.nn.functional import interpolate
from torchvision.models.detection.fcos import FCOS

from analysis.drawing import draw, style
from analysis.figures.base import Numbers
from analysis.inputs.inputs import Absent, Inputs
from analysis.inputs.one_image import ReplayedImage, replay_image
from analysis.inputs.rows import Row, detector_title
from core.project import ASSETS
from core.runs import fcos

WEIGHTS = ASSETS / "fcos_shapes.safetensors"  # made by `python -m train study convolutional`
IMAGES = 60  # validation images that are measured
SHOWN = 2  # images that are drawn: those with most objects


def measure(inputs: Inputs) -> Numbers:
    """A row for each image with objects; `extra` holds (image, maps) of those that are drawn.

    Absent: the weights of FCOS are missing, or no run is on its images.
    """
    if not WEIGHTS.exists():
        raise Absent(f"{WEIGHTS.name} is missing; make it with: python -m train study convolutional")
    model, card = fcos.load(WEIGHTS)
    row = chosen_run(inputs, card["size"])
    data = inputs.open_run(row).data
    rows, extra = [], []
    counts = {id: len(data[k].labels) for k, id in enumerate(data.ids[:IMAGES])}
    shown = [inputs.image] if inputs.image is not None else sorted(counts, key=lambda i: (-counts[i], i))[:SHOWN]
    for id in dict.fromkeys([*shown, *(i for i in counts if counts[i])]):
        image = replay_image(inputs, row, id)
        maps = {"convolutional": fcos_map(model, image), "queries": query_map(image)}
        inside = places(image, maps["queries"].shape)
        about = {"image": id, "shown": id in shown, "area": float(inside.mean())}
        rows.append(about | {name: share(m, inside) for name, m in maps.items()})
        if id in shown:
            extra.append((image, maps))
    return Numbers(rows, caption(row, rows, card), extra)


def chosen_run(inputs: Inputs, size: int) -> Row:
    """A run on the shapes of the size on which FCOS was trained, a distilled one if there is one. Absent: there is none."""
    inputs.first_run()
    rows = [r for r in inputs.runs if (r.run["data"]["kind"], r.run["data"]["size"]) == ("shapes", size)]
    if not rows:
        raise Absent(f"its convolutional stand-in knows the drawn shapes of {size} pixels only: give a run on those")
    return max(rows, key=lambda row: row.kind == "distilled")


def fcos_map(model: FCOS, image: ReplayedImage) -> Float[ndarray, "h w"]:
    """The map of FCOS over the image's pixels."""
    height, width = image.sample.size
    levels = fcos.activation(model, image.sample.pixels)
    resized = [interpolate(x[None, None], (height, width), mode="bilinear")[0, 0] for x in levels]
    return torch.stack(resized).amax(0).numpy()


def query_map(image: ReplayedImage) -> Float[ndarray, "h w"]:
    """The mean mask of the queries matched in the last layer, over the image's pixels."""
    psi, _ = image.masks()
    trace = image.shown_trace
    a = trace.assignment.of(layer=len(trace.own.logits) - 1, image=0)
    mean = torch.from_numpy(psi[a.query.numpy()].mean(0))
    resized = interpolate(mean[None, None], scale_factor=image.stride, mode="bilinear")[0, 0]
    height, width = image.sample.size
    return resized[:height, :width].numpy()


def places(image: ReplayedImage, shape: tuple[int, ...]) -> Bool[ndarray, "h w"]:
    """Returns whether the centre of each pixel lies in a true box."""
    y, x = (np.arange(n) + 0.5 for n in shape)
    inside = np.zeros(shape, dtype=bool)
    for x0, y0, x1, y1 in image.truth:
        inside |= ((y0 <= y) & (y < y1))[:, None] & ((x0 <= x) & (x < x1))
    return inside


def share(values: Float[ndarray, "h w"], inside: Bool[ndarray, "h w"]) -> float:
    """The share of the map's sum that lies in true boxes."""
    return float((values * inside).sum() / max(values.sum(), 1e-12))


def caption(row: Row, rows: list[dict], card: dict) -> str:
    """The caption: what is drawn, and the mean shares inside true boxes over all measured images."""
    means = {key: 100 * np.mean([r[key] for r in rows]) for key in ("convolutional", "queries", "area")}
    ap = 100 * card["scores"]["ap"]
    return (
        f"FCOS on a tiny backbone (in place of the paper's ATSS; AP {ap:.1f} on shapes/val), and the mean mask of the matched "
        f"queries of {detector_title(row.detector)}; colours from 0 to each map's maximum. Over {len(rows)} images, "
        f"{means['convolutional']:.0f}% of the map of FCOS and {means['queries']:.0f}% of the masks lie inside true boxes, which "
        f"cover {means['area']:.0f}% of the area."
    )


def make(numbers: Numbers) -> Figure:
    """A line for each drawn image: the image with its true boxes, and both maps."""
    figure = Figure(figsize=style.size(0.15 + 1.12 * len(numbers.extra)))
    axes = figure.subplots(len(numbers.extra), 3, squeeze=False)
    for line, (image, maps) in zip(axes, numbers.extra):
        draw.boxes(draw.picture(line[0], image.pixels), image.truth, color=style.TRUTH)
        for ax, values in zip(line[1:], maps.values()):
            draw.heat(ax, values, image.pixels)
            draw.boxes(ax, image.truth, color="white", linestyle=":", width=0.7, edge=False)
    for ax, text in zip(axes[0], ("image and truth", "convolutional (FCOS)", "queries")):
        ax.set_title(text)
    return figure
