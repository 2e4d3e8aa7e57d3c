"""What a run wrote of itself while it trained, as figures show it; a summary carries it under "logged".

gradients    notes of L2 norms: {"step", "gradients": {loss: {"features", "decoder"}}}
epochs       instability IS of the student's last layer, each recorded epoch against the one before: {"epoch", "instability"}
"""

from pathlib import Path

import numpy as np
import pandas as pd

from core.metrics.instability import instability
from core.runs.results import lines

ASSIGNMENTS = "assignments.parquet"


def logged(run: Path) -> dict[str, list[dict]]:
    notes = (line for line in lines(run / "metrics.jsonl") if line.get("gradients"))
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
        epochs[int(epoch)] = v = np.full(shape, -1)
        v[part["image"].map(places).to_numpy(), part["query"].to_numpy()] = part["object"].to_numpy()
    order = sorted(epochs)
    pairs = zip(order, order[1:])
    return [{"epoch": now, "instability": float(instability(epochs[now], epochs[old]))} for old, now in pairs]
