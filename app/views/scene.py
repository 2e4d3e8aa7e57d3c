"""The canvas, as plain data: boxes of every layer, and lines between matched boxes with their costs.

Boxes are (x0, y0, x1, y1) in fractions of the image.
"""

from collections.abc import Sequence

from torch import Tensor

from app import words
from app.replay.display import Display, Side
from app.replay.pictures import picture_uri
from core.boxes import corners
from core.data.batch import collate_targets
from core.data.sample import Sample
from core.types import Assignment, Predictions, Targets

Pair = tuple[int, int, float | None]  # query, target, cost


def image(key: str, name: str, sample: Sample, classes: Sequence[str]) -> dict:
    """The picture of an image and its annotated objects, which are shown before any network has run."""
    height, width = sample.size
    return {
        "key": key,
        "name": name,
        "width": width,
        "height": height,
        "image": picture_uri(sample),
        "classes": list(classes),
        "truth": group("truth", "truth", "truth") | {"layers": [object_boxes(collate_targets([sample]))]},
    }


def scene(display: Display) -> dict:
    """All boxes and pairs of an image, in every layer of the student."""
    return {
        "key": display.main.key,
        "layers": display.layers,
        "banner": display.main.banner,
        "notes": [words.NO_TEACHER] if display.trace.teacher is None else [],
        "truth": display.main.truth,
        "groups": [side_group(display, side) for side in display.sides] + truth_groups(display),
        "lines": truth_lines(display) + query_pair_lines(display),
        "changes": display.changes,
    }


def decoded_group(detector: str, p: Predictions) -> dict:
    """The boxes of the detector "teacher" or "student", which is decoded while the rest is still being computed."""
    layers = [query_boxes(p, layer) for layer in range(len(p.logits))]
    return group(detector, detector, detector) | {"extra": False, "on": True, "layers": layers}


def side_group(display: Display, name: str) -> dict:
    """The boxes of a side beside each layer of the student; "of" are its own layers where it has another number of them."""
    side, extra = display.sides[name], name not in words.MATCHED_SIDES
    shown_layers = [display.layer_of(name, layer) for layer in range(display.layers)]
    boxes = [query_boxes(side.predictions, layer) for layer in shown_layers]
    own_layers = {} if side.layers == display.layers else {"of": [layer + 1 for layer in shown_layers]}
    described = group(name, name, display.role(name)) | {"title": display.title(name)}
    return described | {"extra": extra, "on": not extra, "layers": boxes} | own_layers


def truth_groups(display: Display) -> list[dict]:
    """The objects, which are the same in every layer; empty for an image without truth."""
    if display.main.truth == "none":
        return []
    name = "truth" if display.main.truth == "given" else "pseudo"
    layers = [object_boxes(display.trace.targets)]
    return [group("truth", name, "truth") | {"extra": False, "on": True, "layers": layers}]


def group(id: str, name: str, role: str) -> dict:
    """The id, colour and texts of a group of boxes; `name` is the side whose texts it has."""
    title, member, says = words.side(name)
    return {"id": id, "role": role, "title": title, "one": member, "says": says}


def object_boxes(targets: Targets) -> dict:
    """Boxes and labels of the objects."""
    return {"boxes": rounded(corners(targets.boxes)), "scores": None, "labels": targets.labels.tolist()}


def query_boxes(p: Predictions, layer: int) -> dict:
    """Boxes of all queries in one layer, each with the label of the highest score."""
    scores, labels = p.logits[layer, 0].sigmoid().max(-1)
    return {"boxes": rounded(corners(p.boxes[layer, 0])), "scores": rounded(scores), "labels": labels.tolist()}


def truth_lines(display: Display) -> list[dict]:
    """The lines from the queries of each side to their objects."""
    sides = {} if display.main.truth == "none" else display.sides
    lines = [line(f"{name}-truth", name, "truth", truth_pairs(display, name, side)) for name, side in sides.items()]
    return [line | {"title": display.title(name)} for name, line in zip(sides, lines)]


def truth_pairs(display: Display, name: str, side: Side) -> list[list[Pair]]:
    """The pairs of a side's queries and objects, with their costs, beside each layer of the student."""
    layers = []
    for layer in range(display.layers):
        pairs = side.matched(display.layer_of(name, layer))
        layers.append(pair_rows(pairs, side.cost[pairs.index + (pairs.target,)]))
    return layers


def query_pair_lines(display: Display) -> list[dict]:
    """The lines from student queries to teacher queries."""
    pairs = display.main.query_pairs
    return [line(name, "student", "teacher", query_pairs(display, name, pairs[name])) for name in pairs]


def query_pairs(display: Display, name: str, pairs: Assignment) -> list[list[Pair]]:
    """The pairs of each student layer with the teacher layer shown beside it; without a cost if no matching found them."""
    solved, layers = display.main.solved_pairs.get(name), []
    for layer in range(display.layers):
        shown = pairs.at((pairs.layer == layer) & (pairs.target_layer == display.layer_of("teacher", layer)))
        layers.append(pair_rows(shown, None if solved is None else solved.cost(shown)))
    return layers


def pair_rows(pairs: Assignment, costs: Tensor | None) -> list[Pair]:
    """(query, target, cost) of each pair."""
    rounded_costs = [None] * len(pairs) if costs is None else rounded(costs)
    return list(zip(pairs.query.tolist(), pairs.target.tolist(), rounded_costs))


def line(name: str, start: str, end: str, layers: list[list[Pair]]) -> dict:
    """One kind of pair, drawn between the boxes of the sides `start` and `end`."""
    title, says = words.line(name)
    return {
        "id": name,
        "title": title,
        "says": says,
        "from": start,
        "to": end,
        "on": name == "student-truth",
        "look": "solid" if end == "truth" else "dotted" if name == "negative" else "dashed",
        "layers": layers,
    }


def rounded(values: Tensor) -> list:
    """Values rounded to four digits: a fifth of a pixel in a large photo."""
    return (values.double() * 1e4).round().div(1e4).tolist()
