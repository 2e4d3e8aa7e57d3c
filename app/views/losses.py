"""Each term of the training loss on one image. Losses are found by their maps, so a new one needs no code here."""

import torch
from torch import Tensor

from app import words
from app.replay.display import Replay
from app.views.heat import heat
from core.errors import UserError
from core.types import Memory


def losses(replay: Replay) -> dict:
    """The total loss, and for each term its sum, its weight, its share of the total, and its sum in each layer."""
    total, rows = replay.trace.total.item(), []
    for name, outcome in replay.trace.outcomes.items():
        weights = replay.distiller.weights[name]
        terms = [term_row(f"{name}/{key}", m, weights[key], total) for key, m in outcome.maps.items()]
        weighted = sum(t["weighted"] for t in terms)
        says = words.summary(replay.losses[name])
        rows.append({"name": name, "says": says, "terms": terms, "weighted": weighted, "share": share(weighted, total)})
    return {"says": words.LOSS_NOTES[replay.truth], "losses": rows, "total": total}


def term_row(path: str, m: Tensor, weight: float, total: float) -> dict:
    """One term, by its path LOSS/MAP and its map; sums are unweighted."""
    title, says = words.term(path.partition("/")[2])
    weighted = (weight * m.sum()).item()
    return {
        "id": path,  # gradio_client would take what has a "path" for a file
        "title": title,
        "says": says,
        "kind": kind(m),
        "layers": m.flatten(1).sum(1).tolist(),
        "sum": m.sum().item(),
        "weight": weight,
        "weighted": weighted,
        "share": share(weighted, total),
    }


def share(value: float, total: float) -> float:
    """The part of a total; 0 of a total of 0."""
    return value / total if total else 0.0


def kind(m: Tensor) -> str:
    """The kind of thing that each value of a map belongs to, "query", "place" or "image", from the number of its axes."""
    return {3: "query", 4: "place"}.get(m.ndim, "image")


def term(replay: Replay, path: str, layer: int) -> dict:
    """One term in one layer, -1 for the last, with its unweighted values. UserError: there is no such term."""
    name, _, key = path.partition("/")
    outcome = replay.trace.outcomes.get(name)
    if outcome is None or key not in outcome.maps:
        raise UserError(f"no term {path[:60]!r}; `losses` lists those there are")
    m = outcome.maps[key]
    layer = len(m) - 1 if layer == -1 else min(max(layer, 0), len(m) - 1)
    described = {"id": path, "kind": kind(m), "layer": layer, "layers": len(m), "sum": m[layer, 0].sum().item()}
    return described | layer_values(replay, path, m[layer, 0])


def layer_values(replay: Replay, path: str, values: Tensor) -> dict:
    """The values of a map in one layer: a number for each query, a map over the image, or nothing for a single number."""
    if values.ndim == 1:
        side = side_of(replay, path)
        return {"side": side if len(values) == replay.sides[side].queries else "", "values": values.tolist()}
    return {"heat": heat(values.float(), *level_of(replay, values))} if values.ndim == 2 else {}


def side_of(replay: Replay, path: str) -> str:
    """The side whose queries a term has values for: a group that its loss asked the student to decode, else the student's own.

    Of several groups it is the one with whose name the map's begins. Values that belong to no queries of that side, such as
    those of a two-stage detector's proposals, differ in number.
    """
    name, _, key = path.partition("/")
    student, teacher = replay.trace.student.queries["own"], replay.trace.teacher
    groups = replay.losses[name].ask(student, None if teacher is None else teacher.queries["own"], replay.trace.targets)
    shown = [group for group in groups if group in replay.sides]
    return next((group for group in shown if key.startswith(f"{group}_")), next(iter(shown), "student"))


@torch.no_grad()
def level_of(replay: Replay, values: Tensor) -> tuple[Memory, int]:
    """The features whose places a map is over: the teacher's level of its shape, else the student's."""
    for trace in filter(None, (replay.trace.teacher, replay.trace.student)):
        for level, shape in enumerate(trace.memory.shapes):
            if shape == tuple(values.shape):
                return trace.memory, level
    raise UserError("this term's map is over places that no level of the features has")
