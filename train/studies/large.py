"""The shipped teacher at 320 pixels, where its masks have places to show: the run of Figure 4.

All of `assets/teacher_shapes.safetensors`, which has seen 96 pixels alone, goes on with the same scenes drawn larger. Its
folder goes to assets/runs/shapes_320, its weights rounded to half precision: they are there to be looked at.
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
from train.studies.demo import line

SIZE, IMAGES, EPOCHS = 320, 600, 3
KEPT = ("card.json", "losses.safetensors", "metrics.jsonl")


def main(out: Path = Path("assets/runs/shapes_320"), run: Run | None = None) -> None:
    found = run_rows({"shapes_320": run or teacher()}, at_once=1, folder=RUNS / "large")
    ship(RUNS / "large" / "shapes_320", out)
    print("\n".join(line(name, row) for name, row in found.items()) + f"\nwritten to {out}")


def teacher() -> Run:
    start = shapes_teacher.run()
    optim = replace(start.optim, lr=3e-4, batch=4, epochs=EPOCHS, warmup=20)
    data = replace(start.data, size=SIZE, train_limit=IMAGES, val_limit=100)
    return replace(
        start, init=str(shapes_distill.TEACHER), data=data, optim=optim, gradients_every=0, checkpoint_every=50
    )


def ship(run: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        shutil.copyfile(run / name, out / name)
    tensors, card = read_tensors(run / "student.safetensors")
    half = {name: x.half() if x.is_floating_point() else x for name, x in tensors.items()}
    write_bytes(out / "student.safetensors", save(half, metadata={"card": json.dumps(card)}))
