"""The panel beside the canvas, as plain data: one query, one object, or all objects of a layer, with costs.

Every cost comes from the functions with which the pair was matched.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from app import words
from app.replay.display import Display, Side
from app.replay.pairs import SolvedPairs
from core.boxes import corners
from core.matching.margins import margin
from core.types import Assignment

ROWS = 6  # of a ranking
SCORES = 5  # classes whose score is shown


def query(display: Display, layer: int, side_name: str, index: int) -> dict:
    """One query in one layer: its class scores, its box, each of its matches with costs, and the costs of other matches."""
    side, side_layer = display.sides[side_name], display.layer_of(side_name, layer)
    objects = side.objects_of(side_layer, index)
    matches = [
        object_match(display, side_name, side_layer, index, target) | link(display, "truth", target)
        for target in objects
    ]
    matches += query_matches(display, layer, side_name, index)
    rankings = []
    if len(display.trace.targets):
        rankings = [object_ranking(display, side, side_layer, index, objects)]
        rankings += [query_ranking(display, side_name, side_layer, target) for target in objects]
    return {
        **heading(display, side_name, index, side.predictions.boxes[side_layer, 0, index]),
        "layer": layer,
        "where": f"layer {side_layer + 1} of {side.layers}",
        "scores": highest_scores(display.main.classes, side.predictions.logits[side_layer, 0, index].sigmoid()),
        "says": "" if matches else words.unmatched(display.main.truth),
        "matches": matches,
        "rankings": rankings,
    }


def target(display: Display, layer: int, index: int) -> dict:
    """One object in one layer: the query of each side that is matched with it, with costs, and other candidates."""
    matches = []
    for name, side in display.sides.items():
        side_layer = display.layer_of(name, layer)
        for query in side.queries_of(side_layer, index):
            match = object_match(display, name, side_layer, query, index)
            matches.append(match | {"title": words.query_match_title(name)} | link(display, name, query))
    ranked = [name for name in ("student", "other", "teacher") if name in display.sides]
    return {
        **heading(display, "truth", index, display.trace.targets.boxes[index]),
        "layer": layer,
        "where": f"layer {layer + 1} of {display.layers}",
        "scores": [],
        "says": "" if display.main.truth == "given" else words.PSEUDO_OBJECT,
        "matches": matches,
        "rankings": [query_ranking(display, name, display.layer_of(name, layer), index) for name in ranked],
    }


def overview(display: Display, layer: int) -> dict:
    """Each object with the query of each side that is matched with it in one layer, and the cost of the pair."""
    title, says = words.OVERVIEW
    changes = display.changes or [""] * len(display.trace.targets)
    rows = [
        {"answers": [matched_query(display, side, layer, index) for side in display.sides], "change": change}
        | link(display, "truth", index)
        for index, change in enumerate(changes)
    ]
    return {
        "title": title,
        "says": says if rows else words.NO_OBJECTS,
        "where": f"layer {layer + 1} of {display.layers}",
        "sides": [{"title": display.title(side), "role": display.role(side)} for side in display.sides],
        "rows": rows,
    }


def matched_query(display: Display, side_name: str, layer: int, target: int) -> dict | None:
    """The query that is matched with an object, and the cost; None where a side has fewer queries than objects."""
    side, side_layer = display.sides[side_name], display.layer_of(side_name, layer)
    for query in side.queries_of(side_layer, target):
        return {"total": side.cost[side_layer, 0, query, target].item()} | link(display, side_name, query)
    return None


# Parts of the panel ---------------------------------------------------------------------------------------------------


def heading(display: Display, side: str, index: int, box: Tensor) -> dict:
    """The title of a query or object, and its box in pixels of the source image."""
    height, width = display.main.sample.original
    x0, y0, x1, y1 = (v * size for v, size in zip(corners(box).tolist(), (width, height, width, height)))
    place = (
        f"x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f}: {x1 - x0:.0f} × {y1 - y0:.0f} of {width} × {height} pixels"
    )
    title = member_name(display, side, index)
    return {
        "side": side,
        "role": display.role(side),
        "index": index,
        "title": title[0].upper() + title[1:],
        "box": place,
    }


def link(display: Display, side: str, index: int) -> dict:
    """The name of a query or object, and what the page selects when the name is clicked."""
    name = member_name(display, side, index)
    return {"name": name, "other": {"side": side, "index": index, "role": display.role(side)}}


def member_name(display: Display, side: str, index: int) -> str:
    """The name of a query, or of an object with its class."""
    name = f"{words.side(side)[1]} {index}"
    return f"{name} ({display.main.classes[display.trace.targets.labels[index]]})" if side == "truth" else name


def highest_scores(classes: Sequence[str], scores: Tensor) -> list[dict]:
    """The classes of the highest scores, highest first."""
    top = scores.topk(min(SCORES, len(scores)))
    return [{"name": classes[k], "score": s} for s, k in zip(top.values.tolist(), top.indices.tolist())]


# Matches --------------------------------------------------------------------------------------------------------------


def object_match(display: Display, side_name: str, layer: int, query: int, target: int) -> dict:
    """The cost of a query with its object, and the pair's margin; `layer` is the side's own."""
    side, line = display.sides[side_name], f"{side_name}-truth"
    parts = {name: part[layer, 0, query, target] for name, part in side.cost_parts.items()}
    match = cost_table(line, parts, side.matching.weights)
    match |= {"title": words.object_match_title(line), "total": side.cost[layer, 0, query, target].item()}
    if side_name not in words.MATCHED_SIDES:
        return match  # its queries keep the objects of another side's, so their pairs have no margin
    pairs, cost = side.matched(layer), side.cost[layer, 0].double()
    lowest_total = cost[pairs.query, pairs.target].sum().item()
    return match | margin_row(display, side_name, *margin(cost.numpy(), lowest_total, query, target))


def query_matches(display: Display, layer: int, side: str, index: int) -> list[dict]:
    """The pairs of a student and a teacher query that include this query; `layer` is the student's."""
    if side not in ("student", "teacher"):
        return []
    matches = []
    for name, solved in display.main.solved_pairs.items():
        pairs = solved.assignment
        with_query = (pairs.layer == layer) & ((pairs.query if side == "student" else pairs.target) == index)
        if side == "teacher":
            with_query &= pairs.target_layer == display.layer_of("teacher", layer)
        for k in with_query.nonzero().flatten().tolist():
            pair = pairs.at(slice(k, k + 1))
            partner = ("teacher", int(pair.target)) if side == "student" else ("student", int(pair.query))
            matches.append(query_match(display, name, solved, pair) | link(display, *partner))
    return matches


def query_match(display: Display, name: str, solved: SolvedPairs, pair: Assignment) -> dict:
    """The cost of a student query with its teacher query, as the loss had it matched, and the pair's margin."""
    layer = int(solved.in_problem_layers(pair).layer)
    parts = {part: cost[layer, 0, int(pair.query), int(pair.target)] for part, cost in solved.cost_parts.items()}
    match = cost_table(name, parts, solved.weights)
    match |= {"total": solved.cost(pair).item(), "title": words.pair_title(name)}
    if display.sides["teacher"].layers != display.layers and pair.target_layer is not None:
        match["says"] += f" The teacher query is from layer {int(pair.target_layer) + 1}."
    return match | margin_row(display, "student", *solved.margin(pair))


def margin_row(display: Display, side: str, value: float, runner_up: int) -> dict:
    """The margin of a pair, None where there is no other assignment, and the runner-up, None where there is none."""
    return {
        "margin": None if math.isinf(value) else value,
        "runner_up": None if runner_up < 0 else link(display, side, runner_up),
    }


def cost_table(line: str, parts: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict:
    """The cost of a pair by part, unweighted and weighted, and both totals."""
    rows: list[dict] = []
    for name in sorted(parts, key=words.cost_part_order):
        title, says = words.cost_part(name, line)
        cost, weight, weighted = parts[name].item(), weights[name], (weights[name] * parts[name]).item()
        rows.append({"part": name, "title": title, "says": says, "cost": cost, "weight": weight, "weighted": weighted})
    totals = {"plain": sum(row["cost"] for row in rows), "total": sum(row["weighted"] for row in rows)}
    return {"line": line, "says": words.match(line), "parts": rows, "margin": None, "runner_up": None} | totals


# Rankings -------------------------------------------------------------------------------------------------------------


def object_ranking(display: Display, side: Side, layer: int, query: int, matched: Sequence[int]) -> dict:
    """The objects by their cost for one query; it is open on the page while the query has no object."""
    parts = {name: part[layer, 0, query] for name, part in weighted_parts(side).items()}
    title, says = words.OBJECT_COSTS
    return ranking(display, parts, "truth", matched) | {"title": title, "says": says, "open": not matched}


def query_ranking(display: Display, side_name: str, layer: int, target: int) -> dict:
    """The queries of a side by their cost for one object."""
    side = display.sides[side_name]
    parts = {name: part[layer, 0, :, target] for name, part in weighted_parts(side).items()}
    title, says = words.candidates(words.side(side_name)[1], member_name(display, "truth", target))
    matched = side.queries_of(layer, target)
    return ranking(display, parts, side_name, matched) | {"title": title, "says": says, "open": False}


def weighted_parts(side: Side) -> dict[str, Tensor]:
    """The weighted parts of the cost of every query for every object, "l b q t"."""
    return {name: side.matching.weights[name] * part for name, part in side.cost_parts.items()}


def ranking(display: Display, parts: Mapping[str, Tensor], side: str, matched: Sequence[int]) -> dict:
    """The members of a side with the lowest total of these parts, lowest first, then those matched that are not among them."""
    totals = sum(parts.values(), torch.zeros(()))
    lowest = totals.topk(min(ROWS, len(totals)), largest=False).indices.tolist()
    rows = [
        {"matched": i in matched, "parts": [part[i].item() for part in parts.values()], "total": totals[i].item()}
        | link(display, side, i)
        for i in lowest + [i for i in matched if i not in lowest]
    ]
    return {"columns": [words.cost_part(name)[0] for name in parts], "rows": rows}
