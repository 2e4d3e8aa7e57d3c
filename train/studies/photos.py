"""Real photos: a teacher, then the student alone and distilled over three seeds, on a COCO-format folder of yours.

EfficientNet-Lite2 teaches EfficientNet-Lite0, both with ImageNet weights from the timm extra: recipes coco_teacher, coco
and coco_distill as they stand, or those of another detector. `--epochs` are the student's; the teacher has twice as many.
Stopped and called again, it goes on, and trains no finished row anew.
Command: python -m train study photos --train TRAIN.json --val VAL.json --images FOLDER; QUICK=1 for eight images.
Result: --out FILE
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from train.run import Run
from train.studies._grid import RUNS, kept, place, run_rows
from train.studies._pace import step_seconds
from train.studies.demo import line, timed
from train.studies.twins import recipe, short

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
    def on(role: str, **changes) -> Run:
        run = recipe(RECIPES[detector] + role)
        data = replace(run.data, train=train, val=val, images=images)
        optim = replace(run.optim, epochs=2 * epochs if role == "_teacher" else epochs)
        return short(replace(run, data=data, optim=optim, **changes))

    out = out or RUNS / f"photos_{detector}.json"
    command = f"python -m train study photos --train {train.name} --val {val.name} --images {images.name}"
    command += f" --detector {detector} --epochs {epochs}"
    keep, teacher = kept(out, command=command), on("_teacher")
    alone = {f"alone-{seed}": on("", seed=seed) for seed in SEEDS}
    found = run_rows({"teacher": teacher, **alone}, at_once=at_once, each=keep)
    distilled = {f"distilled-{seed}": on("_distill", seed=seed, teacher=place(teacher)) for seed in SEEDS}
    found |= run_rows(distilled, at_once=at_once, each=lambda rows: keep(found | rows))
    pace = step_seconds({"alone": alone["alone-0"], "distilled": distilled["distilled-0"]}, steps=10)
    found = {
        name: timed(row, pace.get(name.split("-")[0], row["seconds"] / row["steps"])) for name, row in found.items()
    }
    kept(out, command=command, step_seconds=pace)(found)
    print("\n".join(line(name, row) for name, row in found.items()) + f"\nwritten to {out}")
