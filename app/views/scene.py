"""From traces to what the canvas shows: pure functions, plain data, every number the trace's own."""

from torch import Tensor

from app import words
from app.replay.facts import change, found
from app.replay.pairs import meetings
from app.replay.pictures import picture
from app.replay.shown import Shown
from core.boxes import corners
from core.data.batch import targets
from core.data.sample import Sample
from core.types import Predictions


def image(key: str, name: str, sample: Sample, classes: tuple[str, ...]) -> dict:
    """What is known before any network has run: the picture, and the objects of the data."""
    height, width = sample.size
    return {
        "key": key,
        "name": name,
        "width": width,
        "height": height,
        "image": picture(sample),
        "classes": list(classes),
        "truth": group("truth", "truth", "truth") | {"layers": [objects(targets([sample]))]},
    }


def scene(shown: Shown) -> dict:
    """Boxes and pairs of every layer. Boxes are (x0, y0, x1, y1) in fractions of the image."""
    main = shown.main
    notes = [] if shown.trace.teacher else [words.ALONE]
    return {
        "key": main.key,
        "layers": shown.layers,
        "banner": main.banner,
        "notes": notes,
        "truth": main.truth,
        "groups": [side_group(shown, side) for side in shown.sides] + truth_group(shown),
        "lines": lines(shown),
        "changes": changes(shown),
    }


def changes(shown: Shown) -> list[str]:
    """Of each object beside a second student: kept, gained, lost, or missed by both. Nothing without one, or without truth."""
    if shown.other is None or shown.main.truth != "given":
        return []
    sample, students = shown.main.sample, (shown.other.trace.student.own, shown.trace.student.own)
    return change(*(found(p, sample) for p in students))


def first_boxes(who: str, p: Predictions) -> dict:
    """A detector that is done before the rest."""
    side = {"teacher": "teacher"}.get(who, "student")
    layers = [frame(p, layer) for layer in range(len(p.logits))]
    return group(side, side, side) | {"extra": False, "on": True, "layers": layers}


def side_group(shown: Shown, side: str) -> dict:
    """All boxes of a side, for each layer of the student."""
    extra = side not in ("student", "teacher", "other")
    p = shown.sides[side].predictions
    named = {"title": shown.title(side)}
    layers = [frame(p, shown.layer(side, layer)) for layer in range(shown.layers)]
    depth = {} if len(p.logits) == shown.layers else {"of": [shown.layer(side, k) + 1 for k in range(shown.layers)]}
    told = {"extra": extra, "on": not extra, "layers": layers}
    return group(side, side, shown.role(side)) | named | told | depth


def truth_group(shown: Shown) -> list[dict]:
    """The objects, the same in every layer; nothing where there is no truth."""
    if shown.main.truth == "none":
        return []
    called = "truth" if shown.main.truth == "given" else "pseudo"
    layers = [objects(shown.trace.targets)]
    return [group("truth", called, "truth") | {"extra": False, "on": True, "layers": layers}]


def objects(found) -> dict:
    return {"boxes": rounded(corners(found.boxes)), "scores": None, "labels": found.labels.tolist()}


def group(side: str, called: str, role: str) -> dict:
    title, one, says = words.side(called)
    return {"id": side, "role": role, "title": title, "one": one, "says": says}


def frame(p: Predictions, layer: int) -> dict:
    scores, labels = p.logits[layer, 0].sigmoid().max(-1)
    return {"boxes": rounded(corners(p.boxes[layer, 0])), "scores": rounded(scores), "labels": labels.tolist()}


def lines(shown: Shown) -> list[dict]:
    """One entry for each kind of pair, drawn between the boxes of `from` and `to`: (query, target, cost) by layer."""
    found = []
    if shown.main.truth != "none":
        found = [truth_line(shown, side) for side in shown.sides]
    return found + [line(name, "student", "teacher", own_pairs(shown, name)) for name in meetings(shown.trace)]


def truth_line(shown: Shown, side: str) -> dict:
    return line(f"{side}-truth", side, "truth", truth_pairs(shown, side)) | {"title": shown.title(side)}


def truth_pairs(shown: Shown, side: str) -> list[list[tuple]]:
    which, found = shown.sides[side], []
    for layer in range(shown.layers):
        a = which.answers.of(layer=shown.layer(side, layer), image=0)
        found.append(rows(a, shown.prices[side][a.index + (a.target,)]))
    return found


def own_pairs(shown: Shown, name: str) -> list[list[tuple]]:
    """With the layer of the teacher that is shown beside the student's. Pairs that were not solved have no cost."""
    _, a = meetings(shown.trace)[name]
    met, found = shown.main.met.get(name), []
    for layer in range(shown.layers):
        here = a.at((a.layer == layer) & (a.target_layer == shown.layer("teacher", layer)))
        found.append(rows(here, None if met is None else met.costs(here)))
    return found


def rows(a, costs: Tensor | None) -> list[tuple]:
    paid = [None] * len(a) if costs is None else rounded(costs)
    return list(zip(a.query.tolist(), a.target.tolist(), paid))


def line(name: str, start: str, end: str, layers: list) -> dict:
    title, says = words.line(name)
    look = "solid" if end == "truth" else "dotted" if name == "negative" else "dashed"
    on = name == "student-truth"
    return {
        "id": name,
        "title": title,
        "says": says,
        "from": start,
        "to": end,
        "on": on,
        "look": look,
        "layers": layers,
    }


def rounded(values: Tensor) -> list:
    """Four digits: a fifth of a pixel in a large photo."""
    return (values.double() * 1e4).round().div(1e4).tolist()
