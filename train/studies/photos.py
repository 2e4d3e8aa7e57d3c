"""Trains a teacher, and a student alone and distilled, on your photos in COCO format.

The student has three seeds. EfficientNet-Lite2 teaches EfficientNet-Lite0, both with ImageNet weights from the timm extra:
recipes coco_teacher, coco and coco_distill as they stand, or those of another detector. If it is stopped and started again,
it continues; finished rows are not trained again.
Command: python -m train study photos --train TRAIN.json --val VAL.json --images FOLDER; QUICK=1 for eight images.
Result: --out FILE
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from train.run import Run
from train.studies._grid import RUNS, result_writer, row_folder, run_rows
from train.studies._pace import step_seconds
from train.studies.demo import table_line, with_seconds
from train.studies.twins import recipe, shortened

SEEDS = (0, 1, 2)
RECIPES = {"adamixer": "coco", "deformable": "coco_deformable", "conditional": "coco_conditional"}


def main(
    train: Path,
    val: Path,
    images: Path,
    detector: Literal["adamixer", "deformable", "conditional"] = "adamixer",
    epochs: int = 20,
    at_once: int = 2,
    out: Path | None = None,
) -> None:
    """Trains all rows, prints their table and writes them to a file.

    Args:
        train: COCO instances JSON of the training images.
        val: COCO instances JSON of the validation images.
        images: Folder of the images.
        detector: Detector of teacher and students.
        epochs: Epochs of the students; the teacher has twice as many.
        at_once: Number of runs that train side by side, each on one core.
        out: File of the results. Default: runs/photos_DETECTOR.json.
    """

    def on_photos(role: str, **changes: Any) -> Run:
        run = recipe(RECIPES[detector] + role)
        data = replace(run.data, train=train, val=val, images=images)
        optim = replace(run.optim, epochs=2 * epochs if role == "_teacher" else epochs)
        return shortened(replace(run, data=data, optim=optim, **changes))

    out = out or RUNS / f"photos_{detector}.json"
    command = f"python -m train study photos --train {train.name} --val {val.name} --images {images.name}"
    command += f" --detector {detector} --epochs {epochs}"
    write, teacher = result_writer(out, command=command), on_photos("_teacher")
    alone = {f"alone-{seed}": on_photos("", seed=seed) for seed in SEEDS}
    rows = run_rows({"teacher": teacher, **alone}, at_once=at_once, on_row=write)
    distilled = {f"distilled-{seed}": on_photos("_distill", seed=seed, teacher=row_folder(teacher)) for seed in SEEDS}
    rows |= run_rows(distilled, at_once=at_once, on_row=lambda new: write(rows | new))
    times = step_seconds({"alone": alone["alone-0"], "distilled": distilled["distilled-0"]}, steps=10)
    timed = {
        name: with_seconds(row, times.get(name.split("-")[0], row["seconds"] / row["steps"]))
        for name, row in rows.items()
    }
    result_writer(out, command=command, step_seconds=times)(timed)
    print("\n".join(table_line(name, row) for name, row in timed.items()) + f"\nwritten to {out}")
