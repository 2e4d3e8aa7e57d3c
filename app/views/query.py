"""From a trace to what the panel says of one query or object. Costs come from the functions that matched them."""

import math

from torch import Tensor

from app import words
from app.replay.pairs import Met
from app.replay.shown import Shown
from app.views.scene import changes
from core.boxes import corners
from core.matching.margins import margin
from core.types import Assignment

ROWS = 6  # of a ranking
SCORES = 5  # classes whose score is shown


def query(shown: Shown, layer: int, side: str, index: int) -> dict:
    """Class scores, box, every match in this layer with its cost by part, and what else the query could have had."""
    which, at = shown.sides[side], shown.layer(side, layer)
    here = which.answers.of(layer=at, image=0)
    mine = here.target[here.query == index].tolist()
    found = [truth_match(shown, side, at, index, t) | thing(shown, "truth", t) for t in mine]
    found += pair_matches(shown, layer, side, index)
    return {
        **about(shown, side, index, which.predictions.boxes[at, 0, index]),
        "layer": layer,
        "where": f"layer {at + 1} of {len(which.predictions.logits)}",
        "scores": best(shown, which.predictions.logits[at, 0, index].sigmoid()),
        "says": "" if found else words.unmatched(side, shown.main.truth),
        "matches": found,
        "rankings": choices(shown, side, at, index, mine),
    }


def target(shown: Shown, layer: int, index: int) -> dict:
    """An object: who answers for it in this layer at what cost, and who would have been cheap."""
    found = []
    for side, which in shown.sides.items():
        at = shown.layer(side, layer)
        here = which.answers.of(layer=at, image=0)
        for q in here.query[here.target == index].tolist():
            answer = {"title": words.answers(side)} | thing(shown, side, q)
            found.append(truth_match(shown, side, at, q, index) | answer)
    own = [side for side in ("student", "other", "teacher") if side in shown.sides]
    return {
        **about(shown, "truth", index, shown.trace.targets.boxes[index]),
        "layer": layer,
        "where": f"layer {layer + 1} of {shown.layers}",
        "scores": [],
        "says": "" if shown.main.truth == "given" else words.STAND_IN,
        "matches": found,
        "rankings": [rivals(shown, side, shown.layer(side, layer), index) for side in own],
    }


def overview(shown: Shown, layer: int) -> dict:
    """Each object with the queries that answer for it in this layer, and the cost of each pair."""
    title, says = words.OVERVIEW
    changed = changes(shown) or [""] * len(shown.trace.targets)
    rows = [
        {"answers": [answer(shown, side, layer, index) for side in shown.sides], "change": change}
        | thing(shown, "truth", index)
        for index, change in enumerate(changed)
    ]
    return {
        "title": title,
        "says": says if rows else words.NO_OVERVIEW,
        "where": f"layer {layer + 1} of {shown.layers}",
        "sides": [{"title": shown.title(side), "role": shown.role(side)} for side in shown.sides],
        "rows": rows,
    }


def answer(shown: Shown, side: str, layer: int, target: int) -> dict | None:
    """None where a side has fewer queries than there are objects."""
    at = shown.layer(side, layer)
    here = shown.sides[side].answers.of(layer=at, image=0)
    for query in here.query[here.target == target].tolist():
        return {"total": shown.prices[side][at, 0, query, target].item()} | thing(shown, side, query)
    return None


def about(shown: Shown, side: str, index: int, box: Tensor) -> dict:
    """What one is and where, in pixels of the source image."""
    height, width = shown.main.sample.original
    x0, y0, x1, y1 = (v * size for v, size in zip(corners(box).tolist(), (width, height, width, height)))
    place = (
        f"x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f}: {x1 - x0:.0f} × {y1 - y0:.0f} of {width} × {height} pixels"
    )
    title = name_of(shown, side, index)
    return {"side": side, "role": shown.role(side), "index": index, "title": title[0].upper() + title[1:], "box": place}


def best(shown: Shown, scores: Tensor) -> list[dict]:
    top = scores.topk(min(SCORES, len(scores)))
    return [{"name": shown.main.classes[k], "score": s} for s, k in zip(top.values.tolist(), top.indices.tolist())]


def truth_match(shown: Shown, side: str, layer: int, query: int, target: int) -> dict:
    """The cost, from core.matching.costs.costs, by which a query has an object, and how firmly it has it."""
    mine = {name: part[layer, 0, query, target] for name, part in shown.costs[side].items()}
    line = f"{side}-truth"
    found = breakdown(line, mine, shown.sides[side].matching.weights)
    found |= {"title": words.match_title(line), "total": shown.prices[side][layer, 0, query, target].item()}
    if side not in words.MATCHED:
        return found
    here, price = shown.sides[side].answers.of(layer=layer, image=0), shown.prices[side][layer, 0].double()
    best = price[here.query, here.target].sum().item()
    return found | firmness(shown, side, *margin(price.numpy(), best, query, target))


def pair_matches(shown: Shown, layer: int, side: str, index: int) -> list[dict]:
    """The pairs of a student and a teacher query that this query is in. `layer` is the student's."""
    found = []
    for name, met in shown.main.met.items():
        mine = met.pairs.query if side == "student" else met.pairs.target
        keep = (met.pairs.layer == layer) & (mine == index)
        if side == "teacher":
            keep &= met.pairs.target_layer == shown.layer("teacher", layer)
        for pair in keep.nonzero().flatten().tolist() if side in ("student", "teacher") else ():
            a = met.pairs.at(slice(pair, pair + 1))
            other = ("teacher", int(a.target)) if side == "student" else ("student", int(a.query))
            found.append(pair_match(shown, met, name, a) | thing(shown, *other))
    return found


def pair_match(shown: Shown, met: Met, name: str, a: Assignment) -> dict:
    """The price that the loss had solved, by part."""
    layer = int(met.own(a).layer)
    parts = {k: part[layer, 0, int(a.query), int(a.target)] for k, part in met.parts.items()}
    found = breakdown(name, parts, met.weights) | {"total": met.costs(a).item(), "title": words.pair(name)}
    if shown.trace.teacher.own.logits.shape[0] != shown.layers:
        found["says"] += f" Of the teacher it is layer {int(a.target_layer) + 1}."
    return found | firmness(shown, "student", *met.hold(a))


def firmness(shown: Shown, side: str, dear: float, heir: int) -> dict:
    """How much dearer it would get without the pair, and who would then be it."""
    return {
        "margin": None if math.isinf(dear) else dear,
        "runner_up": None if heir < 0 else thing(shown, side, heir),
    }


def breakdown(line: str, parts: dict[str, Tensor], weights: dict[str, float]) -> dict:
    """A match's cost by part, unweighted and weighted, and both totals."""
    rows = []
    for name in sorted(parts, key=words.order):
        title, says = words.part(name, line)
        numbers = {
            "cost": parts[name].item(),
            "weight": weights[name],
            "weighted": (weights[name] * parts[name]).item(),
        }
        rows.append({"part": name, "title": title, "says": says} | numbers)
    totals = {"plain": sum(row["cost"] for row in rows), "total": sum(row["weighted"] for row in rows)}
    return {"line": line, "says": words.match(line), "parts": rows, "margin": None, "runner_up": None} | totals


def choices(shown: Shown, side: str, layer: int, index: int, matched: list[int]) -> list[dict]:
    """What every object would cost this query, and who else wanted the one it has."""
    if not len(shown.trace.targets):
        return []
    parts = {name: part[layer, 0, index] for name, part in priced(shown, side).items()}
    mine = ranking(shown, parts, "truth", matched) | dict(zip(("title", "says"), words.CHOICES))
    return [mine | {"open": not matched}, *(rivals(shown, side, layer, t) for t in matched)]


def rivals(shown: Shown, side: str, layer: int, target: int) -> dict:
    """The queries of a side for which an object is cheapest."""
    here = shown.sides[side].answers.of(layer=layer, image=0)
    parts = {name: part[layer, 0, :, target] for name, part in priced(shown, side).items()}
    said = words.rivals(words.side(side)[1], name_of(shown, "truth", target))
    found = ranking(shown, parts, side, here.query[here.target == target].tolist())
    return found | dict(zip(("title", "says"), said)) | {"open": False}


def priced(shown: Shown, side: str) -> dict[str, Tensor]:
    """The weighted parts of the cost of every query for every object, "l b q t"."""
    weights = shown.sides[side].matching.weights
    return {name: weights[name] * part for name, part in shown.costs[side].items()}


def ranking(shown: Shown, parts: dict[str, Tensor], side: str, matched: list[int]) -> dict:
    """The cheapest of a side, and the matched ones wherever they stand."""
    totals = sum(parts.values())
    near = totals.topk(min(ROWS, len(totals)), largest=False).indices.tolist()
    kept = near + [i for i in matched if i not in near]
    rows = [
        {"matched": i in matched, "parts": [v[i].item() for v in parts.values()], "total": totals[i].item()}
        | thing(shown, side, i)
        for i in kept
    ]
    return {"columns": [words.part(k)[0] for k in parts], "rows": rows}


def thing(shown: Shown, side: str, index: int) -> dict:
    """What a link in the panel leads to."""
    return {"name": name_of(shown, side, index), "other": {"side": side, "index": index, "role": shown.role(side)}}


def name_of(shown: Shown, side: str, index: int) -> str:
    label = f" ({shown.main.classes[shown.trace.targets.labels[index]]})" if side == "truth" else ""
    return f"{words.side(side)[1]} {index}{label}"
