"""Who held an object at the end of each epoch, where the run recorded it."""

import math

import numpy as np

from app.arguments import within
from app.replay.shown import Shown
from app.views.stability import cell
from app.worker.samples import Samples
from core.errors import UserError

FILE = "assignments.parquet"  # train/run_folder/assignments.py: who, epoch, image, layer, query, object, cost, margin, runner_up


def epochs(shown: Shown, main: Samples, other: Samples | None, layer: int) -> dict:
    """Of one decoder layer, -1 for the last, of every student that recorded this image: a cell for each object and epoch."""
    kind, _, id = shown.main.key.partition("/")
    if kind != "image":
        raise UserError("an uploaded image was in no training, so nothing was recorded of it")
    within(layer % shown.layers, shown.layers, "layer")
    bands = [
        band(shown, side, samples, int(id), layer)
        for side, samples in (("student", main), ("other", other))
        if samples is not None
    ]
    found = [b for b in bands if b["epochs"]]
    return {"layer": layer % shown.layers, "bands": found, "says": "" if found else "No run here recorded this image."}


def band(shown: Shown, side: str, samples: Samples, image: int, layer: int) -> dict:
    depth, count = len(shown.sides[side].predictions.logits), len(shown.trace.targets)
    rows = recorded(samples, image, min(layer % shown.layers, depth - 1))
    epochs = sorted(set(rows["epoch"].tolist()))
    at = np.searchsorted(epochs, rows["epoch"])
    table = {name: np.full((count, len(epochs)), math.nan) for name in ("query", "cost", "margin", "runner_up")}
    for name, values in table.items():
        values[rows["object"], at] = rows[name]
    query, heir = (np.nan_to_num(table[name], nan=-1).astype(int).tolist() for name in ("query", "runner_up"))
    columns = zip(query, table["cost"].tolist(), table["margin"].tolist(), heir)
    cells = [[cell(*x) for x in zip(*row)] for row in columns]
    return {"side": side, "title": shown.title(side), "role": shown.role(side), "epochs": epochs, "cells": cells}


def recorded(samples: Samples, image: int, layer: int) -> dict[str, np.ndarray]:
    """The student's rows of one image and layer; none where the run did not record."""
    import pyarrow.parquet as pq  # slow to import

    columns = ["epoch", "query", "object", "cost", "margin", "runner_up"]
    path = samples.run.path / FILE
    if not path.is_file():
        return {name: np.zeros(0, dtype=int) for name in columns}
    wanted = [("who", "=", "student"), ("image", "=", image), ("layer", "=", layer)]
    try:
        table = pq.read_table(path, columns=columns, filters=wanted)
    except Exception as error:  # pyarrow raises many kinds
        raise UserError(f"{path} cannot be read ({error}); it is written anew by the next epoch") from None
    return {name: table[name].to_numpy() for name in columns}
