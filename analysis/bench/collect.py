"""Collecting a query table against bare forward passes.

Both process the same images in the same batches: forward passes of student and teacher alone, and `collect`. The detectors
are the AdaMixers of the recipe `shapes_distill` with random weights, on 1,000 images of shapes of 96 pixels (QUICK=1: 64),
in five turns. `peak_mb` is the peak memory of the process after the first turn, `grown_mb` its growth until the last.
"""

import os
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from analysis.bench import Aim, machine
from analysis.bench._bare_passes import aim, summary, turn
from analysis.bench._random_runs import random_run
from analysis.query_table.collect import BATCH, collect
from core.data.loader import evaluation
from core.runs.open import OpenRun, open_run

PAIR: dict[str, Any] = {"queries": 20, "layers": 3, "size": 96, "backbone": "tiny32x2"}
TURNS = 5
MOST = 1.3  # times the duration of the bare passes


def run() -> tuple[list[dict], list[Aim]]:
    """Times all turns. The aim is on the median ratio of collecting to bare passes."""
    start = machine(torch.get_num_threads())
    images = 64 if os.environ.get("QUICK") == "1" else 1000
    with TemporaryDirectory() as folder:
        made = random_run(Path(folder) / "run", images=images // TURNS, **PAIR)
        opened = open_run(made)
        forward(opened, 2)
        folders = [Path(folder) / str(k) for k in range(TURNS)]
        turns = [turn(partial(forward, opened), partial(collect, opened, out)) for out in folders]
    row = summary(f"{images} images", "collect", turns)
    return [start, row], [aim(row, MOST)]


@torch.no_grad()
def forward(opened: OpenRun, batches: int | None = None) -> None:
    """The forward passes of teacher and student over the images, or the first `batches` batches of them."""
    teacher = opened.distiller.teacher
    assert teacher is not None, "the run has a teacher"
    for images, _ in islice(evaluation(opened.data, opened.augment, BATCH), batches):
        teacher(images)
        opened.distiller.student(images)
