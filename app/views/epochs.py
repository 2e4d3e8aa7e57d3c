"""Which query each object was matched with at the end of each epoch, where the run recorded its assignments."""

import math
from collections.abc import Sequence

import numpy as np

from app.replay.display import Display
from app.views.ribbon import cell
from app.worker.samples import Samples
from core.errors import UserError

FILE = "assignments.parquet"  # train/run_folder/assignments.py: who, epoch, image, layer, query, object, cost, margin, runner_up
COLUMNS = ("epoch", "query", "object", "cost", "margin", "runner_up")
NOTHING_RECORDED = "No open run recorded the assignments of this image."


def epochs(display: Display, both: Sequence[Samples], layer: int) -> dict:
    """The ribbons of every student that recorded this image, in one decoder layer, -1 for the last."""
    kind, _, id = display.main.key.partition("/")
    if kind != "image":
        raise UserError("an uploaded image was in no training, so nothing was recorded of it")
    layer = layer % display.layers
    bands = [band(display, side, samples, int(id), layer) for side, samples in zip(("student", "other"), both)]
    recorded = [band for band in bands if band["epochs"]]
    return {"layer": layer, "bands": recorded, "says": "" if recorded else NOTHING_RECORDED}


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
    import pyarrow.parquet as pq  # slow to import

    path = samples.run.path / FILE
    if not path.is_file():
        return {name: np.zeros(0, dtype=int) for name in COLUMNS}
    wanted = [("who", "=", "student"), ("image", "=", image), ("layer", "=", layer)]
    try:
        table = pq.read_table(path, columns=list(COLUMNS), filters=wanted)
    except Exception as error:  # pyarrow raises many kinds
        raise UserError(f"{path} cannot be read ({error}); the next epoch writes it again") from None
    return {name: table[name].to_numpy() for name in COLUMNS}
