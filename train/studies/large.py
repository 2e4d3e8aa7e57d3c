"""Trains the shipped runs on shapes drawn at 320 pixels: a teacher for Figure 4, and two students for pictures of the app.

`assets/teacher_shapes.safetensors` was trained at 96 pixels, where its masks have few places. Here it continues on the same
scenes drawn larger. Both students continue from the shipped student of `shapes`, alone and with the losses of DETRDistill, for
as many steps. The runs go to assets/runs, with weights rounded to half precision, for figures and the app.
Command: python -m train study large    Time: 12 minutes on two cores
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save

from core.files import write_bytes
from core.runs.checkpoint import read_tensors
from train.recipes.on_shapes import shapes, shapes_distill, shapes_teacher
from train.run import Run
from train.studies._grid import RUNS, run_rows
from train.studies.demo import table_line

SIZE, IMAGES, EPOCHS = 320, 600, 3
STUDENT = Path("assets/runs/shapes/student.safetensors")
SHIPPED_FILES = ("card.json", "losses.safetensors", "metrics.jsonl")


def main(out: Path = Path("assets/runs")) -> None:
    """Trains the runs, the teacher first, and copies them to `out`."""
    train_and_ship({"shapes_320": teacher()}, out)
    train_and_ship({"shapes_320_alone": student(shapes.run()), "shapes_320_distill": distilled(out)}, out)


def train_and_ship(runs: dict[str, Run], out: Path) -> None:
    """Trains runs side by side, copies them to `out`, and prints their AP."""
    rows = run_rows(runs, at_once=2, folder=RUNS / "large")
    for name, row in rows.items():
        ship(RUNS / "large" / name, out / name)
        print(f"{table_line(name, row)}\nwritten to {out / name}", flush=True)


def teacher() -> Run:
    """The run of `shapes_teacher` from its shipped weights, on fewer and larger images."""
    return enlarged(shapes_teacher.run(), shapes_distill.TEACHER)


def student(start: Run) -> Run:
    """A run of the student of `shapes` from its shipped weights, on fewer and larger images."""
    return enlarged(start, STUDENT)


def distilled(out: Path) -> Run:
    """The run of the student with the teacher of this size."""
    return replace(student(shapes_distill.run()), teacher=out / "shapes_320" / "student.safetensors")


def enlarged(start: Run, weights: Path) -> Run:
    """The run from the weights in a file, on fewer and larger images."""
    optim = replace(start.optim, lr=3e-4, batch=4, epochs=EPOCHS, warmup=20)
    data = replace(start.data, size=SIZE, train_limit=IMAGES, val_limit=100)
    return replace(start, init=str(weights), data=data, optim=optim, gradients_every=0, checkpoint_every=50)


def ship(run: Path, out: Path) -> None:
    """Copies a run's folder without its checkpoint, its student's weights in half precision."""
    out.mkdir(parents=True, exist_ok=True)
    for name in SHIPPED_FILES:
        shutil.copyfile(run / name, out / name)
    tensors, card = read_tensors(run / "student.safetensors")
    half = {name: x.half() if x.is_floating_point() else x for name, x in tensors.items()}
    write_bytes(out / "student.safetensors", save(half, metadata={"card": json.dumps(card)}))
