"""Which query each object was matched with at the end of each epoch, where the run recorded its assignments."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.replay.display import Display
from app.views.ribbon import cell
from app.worker.samples import Samples
from core.errors import UserError

FILE = "assignments.parquet"  # train/run_folder/assignments.py: who, epoch, image, layer, query, object, cost, margin, runner_up
COLUMNS = ("epoch", "query", "object", "cost", "margin", "runner_up")
NOTHING_RECORDED = "No open run recorded the assignments of this image."
UPLOADED = "An uploaded image was in no training, so nothing was recorded of it."
OFFERED = 32  # recorded images that are offered in place of one that was not, at most


def epochs(display: Display, both: Sequence[Samples], layer: int) -> dict:
    """The ribbons of every student that recorded this image, in one decoder layer, -1 for the last.

    Where none did, "recorded" are the keys of images that were recorded: {"layer", "bands", "says", "recorded"}.
    """
    kind, _, id = display.main.key.partition("/")
    layer = layer % display.layers
    if kind != "image":
        return {"layer": layer, "bands": [], "says": UPLOADED, "recorded": recorded_images(both)}
    bands = [band(display, side, samples, int(id), layer) for side, samples in zip(("student", "other"), both)]
    recorded = [band for band in bands if band["epochs"]]
    offered, says = ([], "") if recorded else (recorded_images(both), NOTHING_RECORDED)
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


def recorded_images(both: Sequence[Samples]) -> list[str]:
    """The keys of the first images of the data that any of the runs recorded."""
    recorded: set[int] = set()
    for samples in both:
        path = samples.run.path / FILE
        if path.is_file():
            columns = read_columns(path, ("image",), [("who", "=", "student"), ("layer", "=", 0)])
            recorded.update(columns["image"].tolist())
    return [f"image/{id}" for id in both[0].run.data.ids if id in recorded][:OFFERED]


def read_columns(path: Path, columns: Sequence[str], wanted: list[tuple]) -> dict[str, np.ndarray]:
    """Some columns of the rows that fit. UserError: the file cannot be read."""
    import pyarrow.parquet as pq  # slow to import

    try:
        table = pq.read_table(path, columns=list(columns), filters=wanted)
    except Exception as error:  # pyarrow raises many kinds
        raise UserError(f"{path} cannot be read ({error}); the next epoch writes it again") from None
    return {name: table[name].to_numpy() for name in columns}
