"""From a trace to what the page shows: pure functions, plain data. Every number is the trace's own, or comes from the function that matched.

A side is a set of boxes on the canvas: "student", "teacher", "truth", or a further group of queries that the student
decoded, by the group's name.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from app import words
from app.pictures import picture
from core.boxes import corners
from core.data.sample import Sample
from core.distiller import Distiller
from core.matching import Matching, box_costs, costs, weighted
from core.types import Assignment, DistillTrace, Predictions

ROWS = 6  # of a ranking
SCORES = 5  # classes whose score is shown


@dataclass(frozen=True)
class Shown:
    """One image on the page."""

    key: str
    name: str
    sample: Sample
    trace: DistillTrace
    distiller: Distiller
    classes: tuple[str, ...]
    truth: Literal["given", "pseudo", "none"]
    banner: str = ""

    @property
    def layers(self) -> int:
        return len(self.trace.student.own.logits)

    @property
    def sides(self) -> dict[str, tuple[Predictions, Matching, Assignment]]:
        """Queries of each side, the matching that is theirs, and the objects they answer for."""
        student, teacher = self.trace.student, self.trace.teacher
        found = {"student": (student.own, self.distiller.student.matching, student.assignment)}
        if teacher is not None:
            found["teacher"] = teacher.own, self.distiller.teacher.matching, teacher.assignment
        for name, a in answers(self.trace).items():
            found[name] = student.predictions[name], self.distiller.student.matching, a
        return found

    def counts(self) -> dict[str, int]:
        """How many boxes each side has."""
        counts = {side: p.logits.shape[2] for side, (p, _, _) in self.sides.items()}
        return counts | ({"truth": len(self.trace.targets)} if self.truth != "none" else {})

    def layer(self, side: str, layer: int) -> int:
        """The layer of a side that stands beside the student's: the last of its stage where depths differ."""
        depth = len(self.sides[side][0].logits)
        return -(-(layer + 1) * depth // self.layers) - 1


def answers(trace: DistillTrace) -> dict[str, Assignment]:
    """The objects that each further group of queries answers for."""
    found = {name: a for o in trace.outcomes.values() for name, a in o.pairs.items()}
    return {name: a for name, a in found.items() if name in trace.student.predictions}


def meetings(trace: DistillTrace) -> dict[str, tuple[str, Assignment]]:
    """Pairs of student queries with teacher queries, by name, with the loss that compares them."""
    known = trace.student.assignment, trace.teacher and trace.teacher.assignment
    found = {name: (loss, a) for loss, o in trace.outcomes.items() for name, a in o.pairs.items()}
    return {name: x for name, x in found.items() if name not in answers(trace) and all(x[1] is not a for a in known)}


# The canvas -------------------------------------------------------------------------------------------------------------


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
        "groups": groups(shown),
        "lines": lines(shown),
    }


def groups(shown: Shown) -> list[dict]:
    found = [group(shown, side) for side in shown.sides]
    return [*found, objects(shown)] if shown.truth != "none" else found


def group(shown: Shown, side: str) -> dict:
    predictions = shown.sides[side][0]
    extra = side not in ("student", "teacher")
    return {
        "id": side,
        "role": role(side),
        "extra": extra,
        "on": not extra,
        "title": words.side(side)[0],
        "one": words.side(side)[1],
        "says": words.side(side)[2],
        "layers": [frame(predictions, shown.layer(side, layer)) for layer in range(shown.layers)],
    }


def frame(p: Predictions, layer: int) -> dict:
    scores, labels = p.logits[layer, 0].sigmoid().max(-1)
    return {"boxes": rounded(corners(p.boxes[layer, 0])), "scores": rounded(scores), "labels": labels.tolist()}


def objects(shown: Shown) -> dict:
    targets = shown.trace.targets
    layer = {"boxes": rounded(corners(targets.boxes)), "scores": None, "labels": targets.labels.tolist()}
    title, one, says = words.side("truth" if shown.truth == "given" else "pseudo")
    return {"id": "truth", "role": "truth", "extra": False, "on": True, "title": title, "one": one, "says": says, "layers": [layer]}


def lines(shown: Shown) -> list[dict]:
    """One entry for each kind of pair, drawn between the boxes of `from` and `to`."""
    found = [
        line(shown, f"{side}-truth" if side in ("student", "teacher") else side, side, "truth", a)
        for side, (_, _, a) in shown.sides.items()
        if shown.truth != "none"
    ]
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


def role(side: str) -> str:
    """Whose colour a side has: every group but the teacher's own was decoded by the student."""
    return side if side in ("teacher", "truth") else "student"


def rounded(values: Tensor) -> list:
    """Four digits: a fifth of a pixel in a large photo."""
    return (values.double() * 1e4).round().div(1e4).tolist()


# One query --------------------------------------------------------------------------------------------------------------


def query(shown: Shown, layer: int, side: str, index: int) -> dict:
    """A query's class scores and box, each match it has in this layer with its cost by part, and what else it could have had."""
    predictions, _, a = shown.sides[side]
    at = shown.layer(side, layer)
    mine = a.of(layer=at, image=0)
    target = mine.target[mine.query == index].tolist()
    found = [truth_match(shown, side, at, index, t) for t in target] + pair_matches(shown, layer, side, index)
    scores = predictions.logits[at, 0, index].sigmoid()
    top = scores.topk(min(SCORES, len(scores)))
    return {
        "side": side,
        "role": role(side),
        "index": index,
        "layer": layer,
        "title": f"{words.side(side)[1].capitalize()} {index}",
        "where": f"layer {at + 1} of {len(predictions.logits)}",
        "box": box_text(shown, predictions.boxes[at, 0, index]),
        "scores": [{"name": shown.classes[k], "score": s} for s, k in zip(top.values.tolist(), top.indices.tolist())],
        "says": "" if found else words.unmatched(side, shown.truth),
        "matches": found,
        "rankings": choices(shown, side, at, index, target),
    }


def target(shown: Shown, layer: int, index: int) -> dict:
    """An object: who answers for it in this layer at what cost, and who would have been cheap."""
    targets = shown.trace.targets
    found = []
    for side, (_, _, a) in shown.sides.items():
        at = shown.layer(side, layer)
        own = a.of(layer=at, image=0)
        for q in own.query[own.target == index].tolist():
            match = truth_match(shown, side, at, q, index)
            found.append(match | {"title": f"{words.side(side)[0]} answers with", "name": item_name(shown, side, q), "other": other(side, q)})
    name = item_name(shown, "truth", index)
    return {
        "side": "truth",
        "role": "truth",
        "index": index,
        "layer": layer,
        "title": name.capitalize(),
        "where": f"layer {layer + 1} of {shown.layers}",
        "box": box_text(shown, targets.boxes[index]),
        "scores": [],
        "says": "" if shown.truth == "given" else "A teacher query that stands in for the truth, which this image does not have.",
        "matches": found,
        "rankings": [rivals(shown, side, shown.layer(side, layer), index) for side in ("student", "teacher") if side in shown.sides],
    }


def truth_match(shown: Shown, side: str, layer: int, index: int, target: int) -> dict:
    """The cost, from core.matching.costs, by which this query has this object."""
    predictions, matching, _ = shown.sides[side]
    parts = {k: v[layer, 0, index, target] for k, v in costs(predictions, shown.trace.targets, matching).items()}
    name = f"{side}-truth" if side in ("student", "teacher") else side
    return {
        "line": name,
        "title": "Answers for",
        "name": item_name(shown, "truth", target),
        "other": other("truth", target),
        "says": words.match(name),
    } | breakdown(parts, matching.weights)


def pair_matches(shown: Shown, layer: int, side: str, index: int) -> list[dict]:
    """The pairs of student and teacher queries that this query is in, at the prices that the loss had solved."""
    if side not in ("student", "teacher"):
        return []
    found = []
    for name, (loss, a) in meetings(shown.trace).items():
        here = a.of(layer=layer, image=0)
        mine = here.query if side == "student" else here.target
        for q, t in zip(here.query[mine == index].tolist(), here.target[mine == index].tolist()):
            end = ("teacher", t) if side == "student" else ("student", q)
            found.append(pair_match(shown, loss, name, layer, q, t) | {"name": item_name(shown, *end), "other": other(*end)})
    return found


def pair_match(shown: Shown, loss: str, name: str, layer: int, q: int, t: int) -> dict:
    """The loss's own price. What the boxes do not explain of it is its class part, if it has one."""
    trace, matching = shown.trace, shown.distiller.student.matching
    price = shown.distiller.losses[loss].problems(trace.student, trace.teacher, trace.targets)[name].cost[layer, 0, q, t]
    boxes = (p.own.boxes[layer : layer + 1, :, i : i + 1] for p, i in ((trace.student, q), (trace.teacher, t)))
    parts = {k: v.squeeze() for k, v in box_costs(*boxes, matching).items()}
    rest = (price - weighted(parts, matching.weights)) / matching.class_weight
    parts = {"class": rest} | parts if f"{name}_class" in trace.outcomes[loss].maps else parts
    return {"line": name, "title": words.line(name)[0] + " pair with", "says": words.match(name)} | breakdown(parts, matching.weights) | {"total": price.item()}


def breakdown(parts: dict[str, Tensor], weights: dict[str, float]) -> dict:
    rows = [
        {"part": k, "title": words.part(k)[0], "says": words.part(k)[1], "cost": v.item(), "weight": weights[k], "weighted": (weights[k] * v).item()}
        for k, v in parts.items()
    ]
    return {"parts": rows, "plain": sum(r["cost"] for r in rows), "total": weighted(parts, weights).item()}


def choices(shown: Shown, side: str, layer: int, index: int, matched: list[int]) -> list[dict]:
    """What every object would cost this query, and who else wanted the one it has."""
    if not len(shown.trace.targets):
        return []
    predictions, matching, _ = shown.sides[side]
    parts = {k: matching.weights[k] * v[layer, 0, index] for k, v in costs(predictions, shown.trace.targets, matching).items()}
    title, says = words.CHOICES
    mine = ranking(shown, parts, "truth", title, says, matched) | {"open": not matched}
    return [mine, *(rivals(shown, side, layer, t) for t in matched)]


def rivals(shown: Shown, side: str, layer: int, target: int) -> dict:
    """The queries of a side for which this object is cheapest."""
    predictions, matching, a = shown.sides[side]
    parts = {k: matching.weights[k] * v[layer, 0, :, target] for k, v in costs(predictions, shown.trace.targets, matching).items()}
    here = a.of(layer=layer, image=0)
    title, says = words.rivals(words.side(side)[1], item_name(shown, "truth", target))
    return ranking(shown, parts, side, title, says, here.query[here.target == target].tolist()) | {"open": False}


def ranking(shown: Shown, parts: dict[str, Tensor], side: str, title: str, says: str, matched: list[int]) -> dict:
    """The cheapest of a side by total, weighted part by part; the matched ones always among them."""
    totals = sum(parts.values())
    order = totals.argsort().tolist()
    kept = [i for place, i in enumerate(order) if place < ROWS or i in matched]
    rows = [
        {"name": item_name(shown, side, i), "other": other(side, i), "matched": i in matched, "parts": [v[i].item() for v in parts.values()], "total": totals[i].item()}
        for i in kept
    ]
    return {"title": title, "says": says, "columns": [words.part(k)[0] for k in parts], "rows": rows}


def item_name(shown: Shown, side: str, index: int) -> str:
    if side == "truth":
        return f"object {index} ({shown.classes[shown.trace.targets.labels[index]]})"
    return f"{words.side(side)[1]} {index}"


def other(side: str, index: int) -> dict:
    return {"side": side, "index": index, "role": role(side)}


def box_text(shown: Shown, box: Tensor) -> str:
    """In pixels of the source image."""
    height, width = shown.sample.original
    x0, y0, x1, y1 = (v * size for v, size in zip(corners(box).tolist(), (width, height, width, height)))
    return f"x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f} · {x1 - x0:.0f} × {y1 - y0:.0f} of {width} × {height} pixels"


# The loss ---------------------------------------------------------------------------------------------------------------


def losses(shown: Shown) -> dict:
    """Each map of each loss on this image: its sum, its sum in each layer, its weight; and the step's total."""
    trace = shown.trace
    found = []
    for name, outcome in trace.outcomes.items():
        terms = [term(name, key, m, shown.distiller.weights[name][key]) for key, m in outcome.maps.items()]
        says = words.about(shown.distiller.losses[name])
        found.append({"name": name, "says": says, "terms": terms, "weighted": sum(t["weighted"] for t in terms)})
    return {"losses": found, "total": trace.total.item()}


def term(loss: str, key: str, m: Tensor, weight: float) -> dict:
    title, says = words.term(key)
    layers = m.flatten(1).sum(1).tolist()
    return {"loss": loss, "map": key, "title": title, "says": says, "sum": m.sum().item(), "weight": weight, "weighted": (weight * m.sum()).item(), "layers": layers}
