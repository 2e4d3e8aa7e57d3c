"""Trains a teacher, and a student alone and distilled, on drawn photos of blood cells, with queries and size from the data.

Each photo of 640 x 480 pixels has up to 36 cells, and one of the three classes is 12 pixels wide: with the 30 queries and 144 x
192 pixels of the recipes it cannot be learnt, which `check` and `fit` say. The recipes are coco_deformable_teacher,
coco_deformable and coco_deformable_distill with `--auto`, fewer epochs and one image a step; epochs were chosen from the student
alone. If it is stopped and started again, it continues; finished rows are not trained again.
Command: python -m train study cells    Time: 80 minutes on two cores; QUICK=1 for seconds. Result: assets/results/cells.json
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from core.data.coco.dataset import Coco
from core.runs.results import scores
from train.job.auto import fitted_to_data
from train.job.build import data_limits
from train.run import Run, is_quick
from train.studies._cells import CLASSES, write_photos
from train.studies._drawn import has_images
from train.studies._grid import RUNS, Rows, result_writer, row_folder, run_rows
from train.studies.twins import recipe, shortened

SEEDS, RECIPE = (0, 1, 2), "coco_deformable"
IMAGES = {"train": 80, "val": 30}  # photos, drawn from seeds 0 and 1
EPOCHS, TEACHER_EPOCHS, BATCH, WARMUP = 6, 8, 1, 80


def main(at_once: int = 2, out: Path = Path("assets/results/cells.json")) -> None:
    """Draws the photos, trains all rows, `at_once` of them side by side, prints their table and writes them to `out`."""
    out = RUNS / "cells.json" if is_quick() else out
    draw_photos()
    limits = recipe_limits()
    print("\n".join([f"With the settings of the recipe {RECIPE}:", *limits]), flush=True)
    write, teacher = (
        result_writer(out, command="python -m train study cells", limits=limits),
        on_cells("_teacher"),
    )
    alone = {f"alone-{seed}": on_cells("", seed=seed) for seed in SEEDS}
    rows = run_rows({"teacher": teacher, **alone}, at_once=at_once)
    distilled = {f"distilled-{seed}": on_cells("_distill", seed=seed, teacher=row_folder(teacher)) for seed in SEEDS}
    rows |= run_rows(distilled, at_once=at_once)
    runs = {"teacher": teacher} | alone | distilled
    rows = {name: row | {"per_class": class_scores(runs[name])} for name, row in rows.items()}
    write(rows)
    print(f"{table(rows)}\nwritten to {out}")


def draw_photos() -> None:
    """Draws the photos, where they are not there yet."""
    for seed, (part, images) in enumerate(IMAGES.items()):
        count = 8 if is_quick() else images
        if not has_images(instances(part), count):
            write_photos(instances(part).parent, count, seed=seed)


def on_cells(role: str, **changes: Any) -> Run:
    """The run of the recipe of a role on the photos, with the queries and the size that `--auto` takes."""
    return fitted_to_data(replace(unfitted(role), **changes))


def unfitted(role: str) -> Run:
    """The run of the recipe of a role ("", "_teacher", "_distill") on the photos, with its own queries and size."""
    run = recipe(RECIPE + role)
    data = replace(run.data, train=instances("train"), val=instances("val"))
    epochs = TEACHER_EPOCHS if role == "_teacher" else EPOCHS
    optim = replace(run.optim, epochs=epochs, batch=BATCH, warmup=WARMUP)
    return shortened(replace(run, data=data, optim=optim, eval_every=epochs))


def recipe_limits() -> list[str]:
    """The sentences of `fit` on the recipe without `--auto`: too few queries, and too small a size."""
    limits = data_limits(unfitted(""), Coco(instances("train")), Coco(instances("val")))
    return [str(limit) for limit in limits]


def instances(part: str) -> Path:
    """The file of a part's boxes; under QUICK=1 another one, of few photos."""
    return RUNS / ("cells-quick" if is_quick() else "cells") / part / "instances.json"


def class_scores(run: Run) -> dict[str, float]:
    """AP of each class after the last epoch, 0 to 1."""
    return scores(row_folder(run))[-1]["per_class"]


def table(rows: Rows) -> str:
    """A line of AP for each row: of all classes, and of each."""
    lines = [" ".join([f"{'':<14}", f"{'AP':>6}", *(f"{name:>9}" for name in CLASSES)])]
    for name, row in rows.items():
        values = " ".join(f"{100 * row['per_class'][kind]:9.1f}" for kind in CLASSES)
        lines.append(f"{name:<14} {100 * row['ap']:6.1f} {values}")
    return "\n".join(lines)
