"""The file RUN/assignments.parquet: with which query each object of the first validation images is matched, in each epoch.

Each row is a matched pair. Its columns are who ("student" or "teacher"), epoch, place (the index of the image in the
validation images), image (its id), layer, query, object (its index in the image), cost, margin and runner_up (see
core.matching.margins).
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from core.files import write_bytes
from core.matching.costs import Matching
from core.matching.margins import margins
from core.matching.solving import solve, truth_problem
from core.metrics.instability import between_layers, instability, objects_by_query, reassigned_share
from core.types import Images, Predictions, Targets
from train.distributed.parallel import gather_numbers, gather_rows

FILE = "assignments.parquet"
COLUMNS = {
    "place": "int32",
    "image": "int64",
    "layer": "int16",
    "query": "int32",
    "object": "int32",
    "cost": "float64",
    "margin": "float64",
    "runner_up": "int32",
}
Columns = dict[str, np.ndarray]  # the columns of COLUMNS, of equal length


class AssignmentRecorder:
    """Records the matched pairs of the first images, from the predictions of an evaluation; it needs no forward pass."""

    def __init__(self, images: int, matching: Matching):
        self.images, self.matching = images, matching
        self.rows: list[np.ndarray] = []
        self.layers = self.queries = 0

    def record(self, first: int, predictions: Predictions, images: Images, targets: Targets) -> None:
        """Records a batch; `first` is the index of its first image in the validation images."""
        if first < self.images:
            self.layers, _, self.queries, _ = predictions.logits.shape
            rows = assignment_rows(predictions, images, targets, self.matching, first)
            self.rows.append(rows[rows[:, 0] < self.images])

    def gather_columns(self) -> Columns:
        """The pairs that all processes recorded, ordered by image, layer and query; every process must call it."""
        rows = np.concatenate([np.zeros((0, len(COLUMNS))), *self.rows])
        self.layers, self.queries = (max(x) for x in zip(*gather_numbers([self.layers, self.queries])))
        table = gather_rows(torch.from_numpy(rows)).numpy()
        table = table[np.lexsort(table[:, [3, 2, 0]].T)]
        return {name: column.astype(kind) for (name, kind), column in zip(COLUMNS.items(), table.T)}

    def instability(self, now: Columns, before: Columns | None) -> dict[str, Any]:
        """The instability between consecutive layers, and between the last layers of this and an earlier epoch, if given.

        Keys: images; stages (a number for each layer after the first) and their mean; with an earlier epoch, epochs (the
        instability) and moved (the share of objects whose query is another one).
        """
        objects = self.query_objects(now)
        stages = between_layers(objects).tolist()
        numbers = {"images": self.images, "stages": stages, "mean": sum(stages) / max(len(stages), 1)}
        if before is None:
            return numbers
        last, earlier = objects[-1], self.query_objects(before)[-1]
        share = float(reassigned_share(last, earlier, (last >= 0).sum(-1)))
        return numbers | {"epochs": float(instability(last, earlier)), "moved": share}

    def query_objects(self, columns: Columns) -> Int[ndarray, "l b q"]:
        """The object of each query, or -1."""
        index = tuple(torch.from_numpy(columns[name].astype(np.int64)) for name in ("layer", "place", "query"))
        objects = torch.from_numpy(columns["object"].astype(np.int64))
        return objects_by_query(index, objects, (self.layers, self.images, self.queries)).numpy()


def assignment_rows(
    p: Predictions, images: Images, targets: Targets, matching: Matching, first: int
) -> Float[ndarray, "n 8"]:
    """A row for each matched pair of a batch, in the order of COLUMNS; none if a matching cost is not finite."""
    problem = truth_problem(p, targets, matching)
    try:
        pairs = solve({"recorded": {"truth": problem}})["recorded"]["truth"]
    except FloatingPointError:
        return np.zeros((0, len(COLUMNS)))
    cost, ids = problem.cost.double().cpu().numpy(), images.ids.tolist()
    index = pairs.layer, pairs.image, pairs.query, problem.column(pairs)
    layer, image, query, target = (x.cpu().numpy() for x in index)
    parts = [np.zeros((0, len(COLUMNS)))]
    for k, b in np.ndindex(*cost.shape[:2]):
        q, t = (x[(layer == k) & (image == b)] for x in (query, target))
        costs = cost[k, b][:, : targets.counts[b]]
        margin, runner_up = margins(costs, q, t)
        place, image_id, layer_number = (np.full(len(q), value) for value in (first + b, ids[b], k))
        parts.append(np.stack([place, image_id, layer_number, q, t, costs[q, t], margin, runner_up], 1))
    return np.concatenate(parts)


def append(folder: Path, who: str, epoch: int, columns: Columns) -> None:
    """Adds the pairs of the "student" or the "teacher" in an epoch; the file is replaced, so that it is always whole.

    Without pyarrow nothing is recorded, of which `note_on_recording` tells.
    """
    if note_on_recording():
        return
    import pyarrow as pa  # slow to import

    count = len(columns["place"])
    head = {"who": pa.array([who] * count, pa.string()), "epoch": np.full(count, epoch, np.int32)}
    table, old = pa.table(head | columns), read(folder)
    write(folder, table if old is None else pa.concat_tables([old, table]))


def note_on_recording() -> str:
    """A sentence if assignments cannot be recorded on this machine; "" if they can."""
    return "" if find_spec("pyarrow") else f"{FILE} is not written: pip install pyarrow"


def drop_after(folder: Path, epoch: int) -> str:
    """Removes the rows of later epochs, which a resumed run records again. Returns a note if there is one.

    A file that cannot be read is set aside, since the weights do not depend on it. Without pyarrow the file stays as it is.
    """
    if note_on_recording():
        return ""
    try:
        table = read(folder)
        columns = set() if table is None else {"who", "epoch", *COLUMNS} - set(table.column_names)
        if columns:
            raise ValueError(f"it has no column {min(columns)}")
    except Exception as error:  # pyarrow raises many kinds
        aside = folder / f"{FILE}.damaged"
        os.replace(folder / FILE, aside)
        return (
            f"{folder / FILE} could not be read ({first_line(error)}); it is set aside as {aside.name}, and begins anew"
        )
    if table is not None and (late := table["epoch"].to_numpy() > epoch).any():
        write(folder, table.filter(~late))
    return ""


def first_line(error: Exception) -> str:
    """The first line of the message of an error."""
    return str(error).partition("\n")[0]


def rows_before(folder: Path, epoch: int) -> Columns | None:
    """The student's rows of the last recorded epoch before `epoch`; None if there is none, or without pyarrow."""
    table = None if note_on_recording() else read(folder)
    if table is None:
        return None
    epochs, student = table["epoch"].to_numpy(), np.array(table["who"].to_pylist()) == "student"
    earlier = epochs[student & (epochs < epoch)]
    if not len(earlier):
        return None
    table = table.filter(student & (epochs == earlier.max()))
    return {name: table[name].to_numpy() for name in COLUMNS}


def read(folder: Path) -> Any:
    """The file as a pyarrow Table; None if it does not exist."""
    path = folder / FILE
    if not path.exists():
        return None
    import pyarrow.parquet as pq

    return pq.read_table(path)


def write(folder: Path, table: Any) -> None:
    """Replaces the file by a pyarrow Table, in one step."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink)
    write_bytes(folder / FILE, sink.getvalue().to_pybytes(), within=folder)
