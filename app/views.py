"""From a trace to what the canvas and the loss panel show: pure functions, plain data, every number the trace's own."""

from torch import Tensor

from app import words
from app.pictures import picture
from app.shown import Shown, meetings, role
from core.boxes import corners
from core.types import Assignment, Predictions


def scene(shown: Shown) -> dict:
    """Image, boxes and pairs of every layer. Boxes are (x0, y0, x1, y1) in fractions of the image."""
    height, width = shown.sample.size
    return {
        "key": shown.key,
        "name": shown.name,
        "width": width,
        "height": height,
        "image": picture(shown.sample),
        "classes": list(shown.classes),
        "layers": shown.layers,
        "banner": shown.banner,
        "notes": [] if shown.trace.teacher else [words.ALONE],
        "groups": [queries(shown, side) for side in shown.sides] + objects(shown),
        "lines": lines(shown),
    }


def queries(shown: Shown, side: str) -> dict:
    """All boxes of a side, layer by layer."""
    extra = side not in ("student", "teacher")
    layers = [frame(shown.sides[side][0], shown.layer(side, layer)) for layer in range(shown.layers)]
    return group(side, side) | {"extra": extra, "on": not extra, "layers": layers}


def objects(shown: Shown) -> list[dict]:
    """The truth, the same in every layer; nothing where there is none."""
    if shown.truth == "none":
        return []
    targets = shown.trace.targets
    layer = {"boxes": rounded(corners(targets.boxes)), "scores": None, "labels": targets.labels.tolist()}
    said = group("truth", "truth" if shown.truth == "given" else "pseudo")
    return [said | {"extra": False, "on": True, "layers": [layer]}]


def group(side: str, called: str) -> dict:
    title, one, says = words.side(called)
    return {"id": side, "role": role(side), "title": title, "one": one, "says": says}


def frame(p: Predictions, layer: int) -> dict:
    scores, labels = p.logits[layer, 0].sigmoid().max(-1)
    return {"boxes": rounded(corners(p.boxes[layer, 0])), "scores": rounded(scores), "labels": labels.tolist()}


def lines(shown: Shown) -> list[dict]:
    """One entry for each kind of pair, drawn between the boxes of `from` and `to`."""
    found = []
    if shown.truth != "none":
        found = [line(shown, f"{side}-truth", side, "truth", a) for side, (_, _, a) in shown.sides.items()]
    return found + [line(shown, name, "student", "teacher", a) for name, (_, a) in meetings(shown.trace).items()]


def line(shown: Shown, name: str, start: str, end: str, a: Assignment) -> dict:
    title, says = words.line(name)
    layers = [a.of(layer=shown.layer(start, layer), image=0) for layer in range(shown.layers)]
    return {
        "id": name,
        "title": title,
        "says": says,
        "from": start,
        "to": end,
        "on": name == "student-truth",
        "look": "solid" if end == "truth" else "dotted" if name == "negative" else "dashed",
        "layers": [list(zip(x.query.tolist(), x.target.tolist())) for x in layers],
    }


def rounded(values: Tensor) -> list:
    """Four digits: a fifth of a pixel in a large photo."""
    return (values.double() * 1e4).round().div(1e4).tolist()


def losses(shown: Shown) -> dict:
    """Each map of each loss on this image: its sum, its sum in each layer, its weight; and the step's total."""
    found = []
    for name, outcome in shown.trace.outcomes.items():
        weights = shown.distiller.weights[name]
        terms = [term(f"{name}/{key}", m, weights[key]) for key, m in outcome.maps.items()]
        says = words.about(shown.distiller.losses[name])
        found.append({"name": name, "says": says, "terms": terms, "weighted": sum(t["weighted"] for t in terms)})
    return {"says": words.LOSS[shown.truth], "losses": found, "total": shown.trace.total.item()}


def term(path: str, m: Tensor, weight: float) -> dict:
    title, says = words.term(path.partition("/")[2])
    whole = {"sum": m.sum().item(), "weight": weight, "weighted": (weight * m.sum()).item()}
    return {"path": path, "title": title, "says": says, "layers": m.flatten(1).sum(1).tolist()} | whole
