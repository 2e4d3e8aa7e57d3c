"""Which query each object was matched with at the end of each epoch, where the run recorded its assignments."""

import math
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from app.replay.display import Display
from app.views.ribbon import cell
from app.worker.samples import Samples
from core.errors import UserError

FILE = "assignments.parquet"  # train/run_folder/assignments.py: who, epoch, image, layer, query, object, cost, margin, runner_up
COLUMNS = ("epoch", "query", "object", "cost", "margin", "runner_up")
NOTHING_RECORDED = "No open run recorded the assignments of this image."
OTHER_IMAGES = "These are not the images of the run's training, so nothing was recorded of them."
UPLOADED = "An uploaded image was in no training, so nothing was recorded of it."
OFFERED = 32  # recorded images that are offered in place of one that was not, at most


def epochs(display: Display, both: Sequence[Samples], layer: int) -> dict:
    """The ribbons of every student that recorded this image, in one decoder layer, -1 for the last.

    Where none did, "recorded" are the keys of images that were recorded: {"layer", "bands", "says", "recorded"}.
    """
    kind, _, id = display.main.key.partition("/")
    layer = layer % display.layers
    own = {side: samples for side, samples in zip(("student", "other"), both) if samples.own_images}
    if kind != "image":
        return {"layer": layer, "bands": [], "says": UPLOADED, "recorded": recorded_images(own.values())}
    bands = [band(display, side, samples, int(id), layer) for side, samples in own.items()]
    recorded = [band for band in bands if band["epochs"]]
    nothing = NOTHING_RECORDED if own else OTHER_IMAGES
    offered, says = ([], "") if recorded else (recorded_images(own.values()), nothing)
    return {"layer": layer, "bands": recorded, "says": says, "recorded": offered}


def band(display: Display, side: str, samples: Samples, image: int, layer: int) -> dict:
    """The ribbons of one student: for each object and epoch the query, its cost, margin and runner-up."""
    rows = recorded_rows(samples, image, min(layer, display.sides[side].layers - 1))
    epochs = sorted(set(rows["epoch"].tolist()))
    place = rows["object"], np.searchsorted(epochs, rows["epoch"])
    shape = len(display.trace.targets), len(epochs)
    tables = {name: np.full(shape, math.nan) for name in ("query", "cost", "margin", "runner_up")}
    for name, table in tables.items():
        table[place] = rows[name]
    for name in ("query", "runner_up"):
        tables[name] = np.nan_to_num(tables[name], nan=-1).astype(int)
    cells = [[cell(*step) for step in zip(*row)] for row in zip(*(table.tolist() for table in tables.values()))]
    return {"side": side, "title": display.title(side), "role": display.role(side), "epochs": epochs, "cells": cells}


def recorded_rows(samples: Samples, image: int, layer: int) -> dict[str, np.ndarray]:
    """The columns of the student's recorded pairs in one image and layer; empty where the run recorded none.

    UserError: the file cannot be read.
    """
    path = samples.run.path / FILE
    if not path.is_file():
        return {name: np.zeros(0, dtype=int) for name in COLUMNS}
    wanted = [("who", "=", "student"), ("image", "=", image), ("layer", "=", layer)]
    return read_columns(path, COLUMNS, wanted)


def recorded_images(runs: Collection[Samples]) -> list[str]:
    """The keys of the first images that any of these runs, which have the same images, recorded."""
    recorded: set[int] = set()
    for samples in runs:
        path = samples.run.path / FILE
        if path.is_file():
            columns = read_columns(path, ("image",), [("who", "=", "student"), ("layer", "=", 0)])
            recorded.update(columns["image"].tolist())
    ids = next((samples.run.data.ids for samples in runs), ())
    return [f"image/{id}" for id in ids if id in recorded][:OFFERED]


def read_columns(path: Path, columns: Sequence[str], wanted: list[tuple]) -> dict[str, np.ndarray]:
    """Some columns of the rows that fit. UserError: the file cannot be read."""
    import pyarrow.parquet as pq  # slow to import

    try:
        table = pq.read_table(path, columns=list(columns), filters=wanted)
    except Exception as error:  # pyarrow raises many kinds
        raise UserError(f"{path} cannot be read ({error}); move it away, and the page goes without it") from None
    return {name: table[name].to_numpy() for name in columns}
