"""Which query each object is matched with, layer by layer, with costs and margins, and how often that changes."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from app import words
from app.replay.display import Display, Side
from app.replay.facts import layer_instability, matched_queries
from app.views.ribbon import cell
from core.matching.margins import margins
from core.types import Trace


def stability(
    display: Display, set_instability: Mapping[str, Sequence[float]], surveyed_images: int, images: int
) -> dict:
    """The ribbons of this image, and the mean instability over the images of the data that were surveyed so far.

    `set_instability` is that mean by side, a number for each step from layer to layer; `images` is their number in the data.
    """
    labels, changes = display.trace.targets.labels.tolist(), display.changes
    objects = [
        {"index": k, "name": display.main.classes[label], "change": changes[k] if changes else ""}
        for k, label in enumerate(labels)
    ]
    return {
        "layers": display.layers,
        "objects": objects,
        "bands": [
            band(display, name, trace) | {"set": list(set_instability[name])} for name, trace in display.traces.items()
        ],
        "known": surveyed_images,
        "total": images,
        "says": words.STABILITY_NOTES[display.main.truth],
    }


def band(display: Display, name: str, trace: Trace) -> dict:
    """The ribbons of one detector: for each object and each of its own layers the query, its cost, margin and runner-up."""
    side, objects = display.sides[name], len(display.trace.targets)
    queries = matched_queries(trace, objects)
    tables = (queries, *costs_and_margins(side, queries.shape))
    cells = [[cell(*step) for step in zip(*rows)] for rows in zip(*(table.tolist() for table in tables))]
    return {
        "side": name,
        "title": display.title(name),
        "role": display.role(name),
        "layers": side.layers,
        "at": [display.layer_of(name, layer) for layer in range(display.layers)],
        "cells": cells,
        "flips": sum(a["query"] != b["query"] for row in cells for a, b in zip(row, row[1:])),
        "instability": list(layer_instability(trace)),
    }


def costs_and_margins(side: Side, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cost, margin and runner-up of each object's pair in each layer, "t l"; NaN, NaN and -1 for an unmatched object."""
    cost, margin, runner_up = np.full(shape, math.nan), np.full(shape, math.nan), np.full(shape, -1)
    for layer in range(side.layers):
        pairs, costs = side.matched(layer), side.cost[layer, 0].double().numpy()
        query, target = pairs.query.numpy(), pairs.target.numpy()
        cost[target, layer] = costs[query, target]
        margin[target, layer], runner_up[target, layer] = margins(costs, query, target)
    return cost, margin, runner_up
