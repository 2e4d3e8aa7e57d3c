"""Real photos: a teacher, then the student alone and distilled over two seeds, on a COCO-format folder of yours.

EfficientNet-Lite2 teaches EfficientNet-Lite0, both with ImageNet weights from the timm extra; recipes coco_teacher, coco
and coco_distill as they stand.
Command: python -m train study photos --train TRAIN.json --val VAL.json --images FOLDER    Result: --out FILE
"""

from dataclasses import replace
from pathlib import Path

from train.grid import RUNS, kept, place, run_rows
from train.pace import step_seconds
from train.recipes import coco, coco_distill, coco_teacher
from train.run import Run
from train.studies.demo import line, timed

SEEDS = (0, 1)


def main(train: Path, val: Path, images: Path, at_once: int = 2, out: Path | None = None) -> None:
    def on(run: Run, **changes) -> Run:
        return replace(run, data=replace(run.data, train=train, val=val, images=images), **changes)

    out = out or RUNS / "photos.json"
    command = f"python -m train study photos --train {train.name} --val {val.name} --images {images.name}"
    keep, teacher = kept(out, command=command), on(coco_teacher.run())
    alone = {f"alone-{seed}": on(coco.run(), seed=seed) for seed in SEEDS}
    found = run_rows({"teacher": teacher, **alone}, at_once=at_once, each=keep)
    distilled = {f"distilled-{seed}": on(coco_distill.run(), seed=seed, teacher=place(teacher)) for seed in SEEDS}
    found |= run_rows(distilled, at_once=at_once, each=lambda rows: keep(found | rows))
    pace = step_seconds({"alone": alone["alone-0"], "distilled": distilled["distilled-0"]}, steps=10)
    found = {
        name: timed(row, pace.get(name.split("-")[0], row["seconds"] / row["steps"])) for name, row in found.items()
    }
    kept(out, command=command, step_seconds=pace)(found)
    print("\n".join(line(name, row) for name, row in found.items()) + f"\nwritten to {out}")
