"""From a trace to what the panel says of one query or object. Costs come from the functions that matched them."""

from torch import Tensor

from app import words
from app.shown import Shown, meetings, role
from core.boxes import corners
from core.matching import box_costs, weighted

ROWS = 6  # of a ranking
SCORES = 5  # classes whose score is shown


def query(shown: Shown, layer: int, side: str, index: int) -> dict:
    """Class scores, box, every match in this layer with its cost by part, and what else the query could have had."""
    predictions, _, a = shown.sides[side]
    at = shown.layer(side, layer)
    here = a.of(layer=at, image=0)
    mine = here.target[here.query == index].tolist()
    found = [truth_match(shown, side, at, index, t) | thing(shown, "truth", t) for t in mine]
    found += pair_matches(shown, layer, side, index)
    return {
        **about(shown, side, index, predictions.boxes[at, 0, index]),
        "layer": layer,
        "where": f"layer {at + 1} of {len(predictions.logits)}",
        "scores": best(shown, predictions.logits[at, 0, index].sigmoid()),
        "says": "" if found else words.unmatched(side, shown.truth),
        "matches": found,
        "rankings": choices(shown, side, at, index, mine),
    }


def target(shown: Shown, layer: int, index: int) -> dict:
    """An object: who answers for it in this layer at what cost, and who would have been cheap."""
    found = []
    for side, (_, _, a) in shown.sides.items():
        at = shown.layer(side, layer)
        here = a.of(layer=at, image=0)
        for q in here.query[here.target == index].tolist():
            answer = {"title": words.answers(side)} | thing(shown, side, q)
            found.append(truth_match(shown, side, at, q, index) | answer)
    rankings = [rivals(shown, s, shown.layer(s, layer), index) for s in ("student", "teacher") if s in shown.sides]
    return {
        **about(shown, "truth", index, shown.trace.targets.boxes[index]),
        "layer": layer,
        "where": f"layer {layer + 1} of {shown.layers}",
        "scores": [],
        "says": "" if shown.truth == "given" else words.STAND_IN,
        "matches": found,
        "rankings": rankings,
    }


def overview(shown: Shown, layer: int) -> dict:
    """Each object with the queries that answer for it in this layer, and the cost of each pair."""
    title, says = words.OVERVIEW
    rows = [
        {"answers": [answer(shown, side, layer, index) for side in shown.sides]} | thing(shown, "truth", index)
        for index in range(len(shown.trace.targets))
    ]
    return {
        "title": title,
        "says": says if rows else words.NO_OVERVIEW,
        "where": f"layer {layer + 1} of {shown.layers}",
        "sides": [words.side(side)[0] for side in shown.sides],
        "rows": rows,
    }


def answer(shown: Shown, side: str, layer: int, target: int) -> dict | None:
    """None where a side has fewer queries than there are objects."""
    at = shown.layer(side, layer)
    here = shown.sides[side][2].of(layer=at, image=0)
    for query in here.query[here.target == target].tolist():
        return {"total": truth_match(shown, side, at, query, target)["total"]} | thing(shown, side, query)
    return None


def about(shown: Shown, side: str, index: int, box: Tensor) -> dict:
    """What one is and where, in pixels of the source image."""
    height, width = shown.sample.original
    x0, y0, x1, y1 = (v * size for v, size in zip(corners(box).tolist(), (width, height, width, height)))
    place = (
        f"x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f}: {x1 - x0:.0f} × {y1 - y0:.0f} of {width} × {height} pixels"
    )
    title = name_of(shown, side, index)
    return {"side": side, "role": role(side), "index": index, "title": title[0].upper() + title[1:], "box": place}


def best(shown: Shown, scores: Tensor) -> list[dict]:
    top = scores.topk(min(SCORES, len(scores)))
    return [{"name": shown.classes[k], "score": s} for s, k in zip(top.values.tolist(), top.indices.tolist())]


def truth_match(shown: Shown, side: str, layer: int, query: int, target: int) -> dict:
    """The cost, from core.matching.costs, by which a query has an object."""
    matching = shown.sides[side][1]
    mine = {name: part[layer, 0, query, target] for name, part in shown.costs[side].items()}
    return {"title": "Answers for"} | breakdown(f"{side}-truth", mine, matching.weights)


def pair_matches(shown: Shown, layer: int, side: str, index: int) -> list[dict]:
    """The pairs of a student and a teacher query that this query is in."""
    found = []
    for name, (loss, a) in meetings(shown.trace).items():
        here = a.of(layer=layer, image=0)
        for q, t in zip(here.query.tolist(), here.target.tolist()):
            if (side, index) == ("student", q):
                found.append(pair_match(shown, loss, name, layer, q, t) | thing(shown, "teacher", t))
            if (side, index) == ("teacher", t):
                found.append(pair_match(shown, loss, name, layer, q, t) | thing(shown, "student", q))
    return found


def pair_match(shown: Shown, loss: str, name: str, layer: int, query: int, target: int) -> dict:
    """The price that the loss had solved. What its boxes do not explain is its class part, where it has one."""
    trace, matching = shown.trace, shown.distiller.student.matching
    problems = shown.distiller.losses[loss].problems(trace.student, trace.teacher, trace.targets)
    price = problems[name].price(layer, 0, query, target)
    ends = (trace.student.own, query), (trace.teacher.own, target)
    mine, theirs = (p.boxes[layer : layer + 1, :, i : i + 1] for p, i in ends)
    parts = {k: v.squeeze() for k, v in box_costs(mine, theirs, matching).items()}
    if f"{name}_class" in trace.outcomes[loss].maps:
        parts = {"class": (price - weighted(parts, matching.weights)) / matching.class_weight} | parts
    return breakdown(name, parts, matching.weights) | {"title": words.pair(name), "total": price.item()}


def breakdown(line: str, parts: dict[str, Tensor], weights: dict[str, float]) -> dict:
    """A match's cost by part, unweighted and weighted, and both totals."""
    rows = []
    for name, part in parts.items():
        title, says = words.part(name, line)
        numbers = {"cost": part.item(), "weight": weights[name], "weighted": (weights[name] * part).item()}
        rows.append({"part": name, "title": title, "says": says} | numbers)
    totals = {"plain": sum(row["cost"] for row in rows), "total": weighted(parts, weights).item()}
    return {"line": line, "says": words.match(line), "parts": rows} | totals


def choices(shown: Shown, side: str, layer: int, index: int, matched: list[int]) -> list[dict]:
    """What every object would cost this query, and who else wanted the one it has."""
    if not len(shown.trace.targets):
        return []
    parts = {name: part[layer, 0, index] for name, part in prices(shown, side).items()}
    mine = ranking(shown, parts, "truth", matched) | dict(zip(("title", "says"), words.CHOICES))
    return [mine | {"open": not matched}, *(rivals(shown, side, layer, t) for t in matched)]


def rivals(shown: Shown, side: str, layer: int, target: int) -> dict:
    """The queries of a side for which an object is cheapest."""
    here = shown.sides[side][2].of(layer=layer, image=0)
    parts = {name: part[layer, 0, :, target] for name, part in prices(shown, side).items()}
    said = words.rivals(words.side(side)[1], name_of(shown, "truth", target))
    found = ranking(shown, parts, side, here.query[here.target == target].tolist())
    return found | dict(zip(("title", "says"), said)) | {"open": False}


def prices(shown: Shown, side: str) -> dict[str, Tensor]:
    """The weighted parts of the cost of every query for every object, "l b q t"."""
    weights = shown.sides[side][1].weights
    return {name: weights[name] * part for name, part in shown.costs[side].items()}


def ranking(shown: Shown, parts: dict[str, Tensor], side: str, matched: list[int]) -> dict:
    """The cheapest of a side, and the matched ones wherever they stand."""
    totals = sum(parts.values())
    kept = [i for place, i in enumerate(totals.argsort().tolist()) if place < ROWS or i in matched]
    rows = [
        {"matched": i in matched, "parts": [v[i].item() for v in parts.values()], "total": totals[i].item()}
        | thing(shown, side, i)
        for i in kept
    ]
    return {"columns": [words.part(k)[0] for k in parts], "rows": rows}


def thing(shown: Shown, side: str, index: int) -> dict:
    """What a link in the panel leads to."""
    return {"name": name_of(shown, side, index), "other": {"side": side, "index": index, "role": role(side)}}


def name_of(shown: Shown, side: str, index: int) -> str:
    label = f" ({shown.classes[shown.trace.targets.labels[index]]})" if side == "truth" else ""
    return f"{words.side(side)[1]} {index}{label}"
