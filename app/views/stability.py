"""Which query held each object, layer by layer, how firmly, and how often that changes."""

import math

import numpy as np

from app import words
from app.replay.facts import holders
from app.replay.shown import Shown
from app.views.gallery import Survey
from app.views.scene import changes
from core.matching.margins import margins
from core.metrics.instability import assigned_objects, between_layers
from core.types import Trace

ORDER = ("teacher", "student", "other")  # from above


def stability(shown: Shown, surveys: list[Survey]) -> dict:
    """Of this image, and, as far as its images were looked at, of the set."""
    labels, changed = shown.trace.targets.labels.tolist(), changes(shown)
    objects = [
        {"index": k, "name": shown.main.classes[label], "change": changed[k] if changed else ""}
        for k, label in enumerate(labels)
    ]
    bands = [band(shown, side, surveys) for side in ORDER if side in shown.sides]
    return {
        "layers": shown.layers,
        "objects": objects,
        "bands": bands,
        "known": min(s.done for s in surveys),
        "total": surveys[0].total,
        "says": "" if shown.main.truth == "given" else words.NO_STABILITY[shown.main.truth],
    }


def band(shown: Shown, side: str, surveys: list[Survey]) -> dict:
    """One network: for each object and layer of its own the query, its cost, margin and runner-up."""
    trace = trace_of(shown, side)
    cells = [[cell(*x) for x in zip(*rows)] for rows in zip(*held(shown, side, trace))]
    return {
        "side": side,
        "title": shown.title(side),
        "role": shown.role(side),
        "layers": len(trace.own.logits),
        "at": [shown.layer(side, k) for k in range(shown.layers)],
        "cells": cells,
        "flips": sum(a["query"] != b["query"] for row in cells for a, b in zip(row, row[1:])),
        "instability": between_layers(assigned_objects(trace).numpy()).tolist(),
        "set": of_set(side, surveys),
    }


def trace_of(shown: Shown, side: str) -> Trace:
    if side == "other":
        return shown.other.trace.student
    return shown.trace.teacher if side == "teacher" else shown.trace.student


def held(shown: Shown, side: str, trace: Trace) -> tuple[list, list, list, list]:
    """Query, cost, margin and runner-up, each [object][layer]."""
    objects, price = len(shown.trace.targets), shown.prices[side]
    query = np.array(holders(trace, objects)).reshape(objects, len(price))
    cost, margin, heir = (np.full(query.shape, fill) for fill in (math.nan, math.nan, -1.0))
    for layer in range(len(price)):
        a = trace.assignment.of(layer=layer, image=0)
        q, t, here = a.query.numpy(), a.target.numpy(), price[layer, 0].double().numpy()
        cost[t, layer] = here[q, t]
        margin[t, layer], heir[t, layer] = margins(here, q, t)
    return query.tolist(), cost.tolist(), margin.tolist(), heir.astype(int).tolist()


def cell(query: int, cost: float, margin: float, heir: int) -> dict:
    """-1 is no query: there are more objects than queries."""
    return {
        "query": query,
        "cost": cost if math.isfinite(cost) else None,
        "margin": margin if math.isfinite(margin) else None,
        "heir": heir,
    }


def of_set(side: str, surveys: list[Survey]) -> list[float]:
    """Instability by step, the mean over the images that were looked at."""
    survey = surveys[-1] if side == "other" else surveys[0]
    return survey.instability("calm" if side == "teacher" else "unstable")
