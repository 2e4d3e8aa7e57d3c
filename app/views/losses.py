"""Each term of the step's loss on one image. A loss that this file does not know is shown all the same."""

import torch
from torch import Tensor

from app import words
from app.replay.shown import Replay
from app.views.heat import heat
from core.errors import UserError


def losses(replay: Replay) -> dict:
    """Each map of each loss: its sum, its weight, its share of the total, its sum in each layer; and the total."""
    total, found = replay.trace.total.item(), []
    for name, outcome in replay.trace.outcomes.items():
        weights = replay.distiller.weights[name]
        terms = [summary(f"{name}/{key}", m, weights[key], total) for key, m in outcome.maps.items()]
        weighted = sum(t["weighted"] for t in terms)
        says = words.about(replay.distiller.losses[name])
        found.append({"name": name, "says": says, "terms": terms, "weighted": weighted, "share": part(weighted, total)})
    return {"says": words.LOSS[replay.truth], "losses": found, "total": total}


def summary(path: str, m: Tensor, weight: float, total: float) -> dict:
    title, says = words.term(path.partition("/")[2])
    weighted = (weight * m.sum()).item()
    return {
        "id": path,  # gradio_client takes what has a "path" for a file
        "title": title,
        "says": says,
        "kind": kind(m),
        "layers": m.flatten(1).sum(1).tolist(),
        "sum": m.sum().item(),
        "weight": weight,
        "weighted": weighted,
        "share": part(weighted, total),
    }


def part(value: float, total: float) -> float:
    return value / total if total else 0.0


def kind(m: Tensor) -> str:
    """What the values of a map belong to: its axes after layer and image say."""
    return {3: "query", 4: "place"}.get(m.ndim, "image")


def term(replay: Replay, path: str, layer: int) -> dict:
    """One term in one layer; unweighted, as everywhere in a trace."""
    name, _, key = path.partition("/")
    outcome = replay.trace.outcomes.get(name)
    if outcome is None or key not in outcome.maps:
        raise UserError(f"no term {path[:60]!r}; `losses` lists those there are")
    m = outcome.maps[key]
    layer = len(m) - 1 if layer == -1 else min(max(layer, 0), len(m) - 1)
    told = {"id": path, "kind": kind(m), "layer": layer, "layers": len(m), "sum": m[layer, 0].sum().item()}
    return told | values(replay, name, key, m[layer, 0])


def values(replay: Replay, name: str, key: str, here: Tensor) -> dict:
    if here.ndim == 1:
        side = whose(replay, name)
        fits = len(here) == replay.sides[side].predictions.logits.shape[2]
        return {"side": side if fits else "", "values": here.tolist()}
    return {"heat": heat(here.float(), *level_of(replay, here))} if here.ndim == 2 else {}


def whose(replay: Replay, name: str) -> str:
    """The side whose queries a loss has values for: the group that it had decoded, else the student's own.

    Values of something else, such as a two-stage detector's proposals, belong to no box on the canvas.
    """
    groups = replay.distiller.losses[name].ask(*asked(replay))
    return next((group for group in groups if group in replay.sides), "student")


def asked(replay: Replay) -> tuple:
    teacher = replay.trace.teacher
    return replay.trace.student.queries["own"], teacher and teacher.queries["own"], replay.trace.targets


@torch.no_grad()
def level_of(replay: Replay, here: Tensor) -> tuple:
    """The features whose places a map is over: the teacher's level of its shape, else the student's."""
    for trace in filter(None, (replay.trace.teacher, replay.trace.student)):
        for level, shape in enumerate(trace.memory.shapes):
            if shape == tuple(here.shape):
                return trace.memory, level
    raise UserError("this term's map is over places that no level of the features has")
