"""Who answered for what, epoch by epoch, on the first images to be measured on: RUN/assignments.parquet.

A row is a matched pair: who (student or teacher), epoch, place of the image in the data, image (its id), layer, query,
object (its place in the image), cost, margin and runner_up (core.metrics.instability.margins).
"""

from pathlib import Path

import numpy as np
import torch

from core.files import write_bytes
from core.matching.costs import Matching
from core.matching.margins import margins
from core.matching.solving import solve, truth_problem
from core.metrics.instability import between_layers, instability, objects_by_query, reassigned_share
from core.types import Images, Predictions, Targets
from train.distributed.parallel import gathered, gathered_rows

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
Columns = dict[str, np.ndarray]


class Recorder:
    """Sees the predictions of an evaluation, and so costs no forward pass of its own."""

    def __init__(self, images: int, matching: Matching):
        self.images, self.matching = images, matching
        self.rows: list[np.ndarray] = []
        self.layers = self.queries = 0

    def see(self, first: int, predictions: Predictions, images: Images, targets: Targets) -> None:
        """A batch; `first` is the place of its first image in the data."""
        if first < self.images:
            self.layers, _, self.queries, _ = predictions.logits.shape
            found = rows(predictions, images, targets, self.matching, first)
            self.rows.append(found[found[:, 0] < self.images])

    def columns(self) -> Columns:
        """Of all processes, in the order of the data."""
        mine = np.concatenate([np.zeros((0, len(COLUMNS))), *self.rows])
        self.layers, self.queries = (max(x) for x in zip(*gathered([self.layers, self.queries])))
        table = gathered_rows(torch.from_numpy(mine)).numpy()
        table = table[np.lexsort(table[:, [3, 2, 0]].T)]
        return {name: column.astype(kind) for (name, kind), column in zip(COLUMNS.items(), table.T)}

    def instability(self, now: Columns, before: Columns | None) -> dict:
        """Between stages, and where there is an earlier epoch between the last stages of both."""
        v = self.answered(now)
        stages = between_layers(v).tolist()
        found = {"images": self.images, "stages": stages, "mean": sum(stages) / max(len(stages), 1)}
        if before is None:
            return found
        last, old = v[-1], self.answered(before)[-1]
        share = float(reassigned_share(last, old, (last >= 0).sum(-1)))
        return found | {"epochs": float(instability(last, old)), "moved": share}

    def answered(self, columns: Columns) -> np.ndarray:
        """V, l b q: the object of each query, or -1."""
        index = tuple(torch.from_numpy(columns[name].astype(np.int64)) for name in ("layer", "place", "query"))
        objects = torch.from_numpy(columns["object"].astype(np.int64))
        return objects_by_query(index, objects, (self.layers, self.images, self.queries)).numpy()


def rows(p: Predictions, images: Images, targets: Targets, matching: Matching, first: int) -> np.ndarray:
    """One for each pair, as COLUMNS has them; none where predictions are no numbers."""
    problem = truth_problem(p, targets, matching)
    try:
        found = solve({"recorded": {"truth": problem}})["recorded"]["truth"]
    except FloatingPointError:
        return np.zeros((0, len(COLUMNS)))
    cost, ids = problem.cost.double().cpu().numpy(), images.ids.tolist()
    index = found.layer, found.image, found.query, problem.column(found)
    layer, image, query, target = (x.cpu().numpy() for x in index)
    parts = [np.zeros((0, len(COLUMNS)))]
    for k, b in np.ndindex(*cost.shape[:2]):
        q, t = (x[(layer == k) & (image == b)] for x in (query, target))
        mine = cost[k, b][:, : targets.counts[b]]
        dear, runner = margins(mine, q, t)
        same = (np.full(len(q), value) for value in (first + b, ids[b], k))
        parts.append(np.stack([*same, q, t, mine[q, t], dear, runner], 1))
    return np.concatenate(parts)


def append(folder: Path, who: str, epoch: int, columns: Columns) -> None:
    """The whole file is written anew, so it is whole or as it was."""
    import pyarrow as pa  # slow to import

    count = len(columns["place"])
    head = {"who": pa.array([who] * count, pa.string()), "epoch": np.full(count, epoch, np.int32)}
    table, old = pa.table(head | columns), read(folder)
    write(folder, table if old is None else pa.concat_tables([old, table]))


def cut(folder: Path, epoch: int) -> None:
    """Forget the epochs after `epoch`."""
    table = read(folder)
    if table is not None and (late := table["epoch"].to_numpy() > epoch).any():
        write(folder, table.filter(~late))


def before(folder: Path, epoch: int) -> Columns | None:
    """The student's rows of the last recorded epoch before `epoch`."""
    table = read(folder)
    if table is None:
        return None
    epochs, own = table["epoch"].to_numpy(), np.array(table["who"].to_pylist()) == "student"
    earlier = epochs[own & (epochs < epoch)]
    if not len(earlier):
        return None
    table = table.filter(own & (epochs == earlier.max()))
    return {name: table[name].to_numpy() for name in COLUMNS}


def read(folder: Path):
    import pyarrow.parquet as pq

    path = folder / FILE
    return pq.read_table(path) if path.exists() else None


def write(folder: Path, table) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink)
    write_bytes(folder / FILE, sink.getvalue().to_pybytes())
