"""Trains the shipped teacher further, on shapes drawn at 320 pixels, for Figure 4.

`assets/teacher_shapes.safetensors` was trained at 96 pixels, where its masks have few places. Here it continues on the same
scenes drawn larger. The run goes to assets/runs/shapes_320, with weights rounded to half precision, for figures and the app.
Command: python -m train study large    Time: 4 minutes on one core
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save

from core.files import write_bytes
from core.runs.checkpoint import read_tensors
from train.recipes.on_shapes import shapes_distill, shapes_teacher
from train.run import Run
from train.studies._grid import RUNS, run_rows
from train.studies.demo import table_line

SIZE, IMAGES, EPOCHS = 320, 600, 3
SHIPPED_FILES = ("card.json", "losses.safetensors", "metrics.jsonl")


def main(out: Path = Path("assets/runs/shapes_320"), run: Run | None = None) -> None:
    """Trains the run, or `run` in its place, and copies it to `out`."""
    rows = run_rows({"shapes_320": run or teacher()}, at_once=1, folder=RUNS / "large")
    ship(RUNS / "large" / "shapes_320", out)
    print("\n".join(table_line(name, row) for name, row in rows.items()) + f"\nwritten to {out}")


def teacher() -> Run:
    """The run: `shapes_teacher` from its shipped weights, on fewer and larger images."""
    start = shapes_teacher.run()
    optim = replace(start.optim, lr=3e-4, batch=4, epochs=EPOCHS, warmup=20)
    data = replace(start.data, size=SIZE, train_limit=IMAGES, val_limit=100)
    return replace(
        start, init=str(shapes_distill.TEACHER), data=data, optim=optim, gradients_every=0, checkpoint_every=50
    )


def ship(run: Path, out: Path) -> None:
    """Copies a run's folder without its checkpoint, its student's weights in half precision."""
    out.mkdir(parents=True, exist_ok=True)
    for name in SHIPPED_FILES:
        shutil.copyfile(run / name, out / name)
    tensors, card = read_tensors(run / "student.safetensors")
    half = {name: x.half() if x.is_floating_point() else x for name, x in tensors.items()}
    write_bytes(out / "student.safetensors", save(half, metadata={"card": json.dumps(card)}))
