"""What a run wrote of itself while it trained, as figures show it; a summary carries it under "logged".

gradients    notes of L2 norms: {"step", "gradients": {loss: {"features", "decoder"}}}
epochs       instability IS of the student's last layer, each recorded epoch against the one before: {"epoch", "instability"}
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from core.metrics.instability import instability, objects_by_query
from core.runs.results import read_lines

ASSIGNMENTS = "assignments.parquet"


def logged(run: Path) -> dict[str, list[dict]]:
    notes = (line for line in read_lines(run / "metrics.jsonl") if line.get("gradients"))
    return {"gradients": [{k: note[k] for k in ("step", "gradients")} for note in notes], "epochs": by_epoch(run)}


def by_epoch(run: Path) -> list[dict]:
    """None of a run that recorded no assignments, or those of one epoch alone."""
    if not (run / ASSIGNMENTS).exists():
        return []
    table = pd.read_parquet(run / ASSIGNMENTS, columns=["who", "epoch", "image", "layer", "query", "object"])
    table = table[(table["who"] == "student") & (table["layer"] == table["layer"].max())]
    places = {image: k for k, image in enumerate(sorted(table["image"].unique()))}
    shape, epochs = (len(places), int(table["query"].max()) + 1), {}
    for epoch, part in table.groupby("epoch"):
        columns = (part["image"].map(places), part["query"], part["object"])
        image, query, objects = (torch.tensor(column.to_numpy(dtype=np.int64)) for column in columns)
        epochs[int(epoch)] = objects_by_query((image, query), objects, shape).numpy()
    order = sorted(epochs)
    pairs = zip(order, order[1:])
    return [{"epoch": now, "instability": float(instability(epochs[now], epochs[old]))} for old, now in pairs]
