"""Reads what a run logged while it trained, in the form in which summaries carry it under "logged".

gradients    one entry for each logged step: {"step", "gradients": {loss: {"features", "decoder"}}}, L2 norms
epochs       {"epoch", "instability"}: instability (IS) of the student's last layer between that epoch and the recorded one before
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from core.errors import UserError
from core.metrics.instability import instability, objects_by_query
from core.runs.results import read_lines

ASSIGNMENTS = "assignments.parquet"  # columns who, epoch, image, layer, query, object; written by training


def training_log(run: Path) -> dict[str, list[dict]]:
    """Gradient norms of metrics.jsonl, and instability by epoch from the recorded assignments."""
    notes = (line for line in read_lines(run / "metrics.jsonl") if line.get("gradients"))
    gradients = [{k: note[k] for k in ("step", "gradients")} for note in notes]
    return {"gradients": gradients, "epochs": instability_by_epoch(run)}


def instability_by_epoch(run: Path) -> list[dict]:
    """{"epoch", "instability"} of each recorded epoch but the first; empty if fewer than two were recorded.

    UserError: the file cannot be read.
    """
    if not (run / ASSIGNMENTS).exists():
        return []
    try:
        table = pd.read_parquet(run / ASSIGNMENTS, columns=["who", "epoch", "image", "layer", "query", "object"])
    except Exception as error:  # pyarrow raises many kinds
        raise UserError(
            f"{run / ASSIGNMENTS} cannot be read ({error}); move it away, and figures go without it"
        ) from None
    table = table[(table["who"] == "student") & (table["layer"] == table["layer"].max())]
    positions = {image: k for k, image in enumerate(sorted(table["image"].unique()))}
    shape = len(positions), int(table["query"].max()) + 1
    objects: dict[int, np.ndarray] = {}  # object of each image and query, by epoch
    for epoch, part in table.groupby("epoch"):
        columns = (part["image"].map(positions), part["query"], part["object"])
        image, query, target = (torch.tensor(column.to_numpy(dtype=np.int64)) for column in columns)
        objects[int(epoch)] = objects_by_query((image, query), target, shape).numpy()
    epochs = sorted(objects)
    pairs = zip(epochs, epochs[1:])
    return [{"epoch": now, "instability": float(instability(objects[now], objects[old]))} for old, now in pairs]
