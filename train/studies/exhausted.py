"""Distils a student that has stopped improving, from a teacher that is hardly better.

The demo's student is far from converged, so distillation may only be faster there. Here the student alone has stopped
improving (its last quarter of epochs adds less than 1 AP), on little data. The teacher is a quarter wider, trained on the same
images and at most 5 AP better (a teacher half again as wide was 7 AP better). The question is whether the distilled student
passes its teacher, as in the paper.
Command: python -m train study exhausted    Time: 25 minutes on two cores. Result: assets/results/exhausted.json
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.on_shapes import shapes, shapes_distill
from train.run import Run
from train.studies import backbones
from train.studies._grid import RUNS, Rows, result_writer, row_folder, run_rows
from train.studies.demo import table_line

IMAGES, EPOCHS, SEEDS = 150, 240, (0, 1)
FIRST_WEIGHTS = RUNS / "exhausted" / "backbones"
WIDER = "tiny20x1"


def main(at_once: int = 2, out: Path = Path("assets/results/exhausted.json")) -> None:
    """Trains all rows, `at_once` of them side by side, prints their table and writes them to `out`."""
    if not (FIRST_WEIGHTS / f"{WIDER}.safetensors").exists():
        backbones.main(FIRST_WEIGHTS, names=(WIDER,))
    alone = {f"alone-{seed}": replace(long_run(shapes.run()), seed=seed) for seed in SEEDS}
    write = result_writer(out, command="python -m train study exhausted", images=IMAGES)
    rows = run_rows({"teacher": teacher()} | alone, at_once=at_once, on_row=write)
    students = {f"distilled-{seed}": distilled(seed) for seed in SEEDS}
    rows |= run_rows(students, at_once=at_once, on_row=lambda new: write(rows | new))
    write(rows)
    print("\n".join(table_line(name, row) for name, row in rows.items()) + "\n" + verdict(rows) + f"\nwritten to {out}")


def long_run(run: Run) -> Run:
    """The run on few images for many epochs, with a tenth of the rate in their second half; evaluated twenty times."""
    optim = replace(run.optim, epochs=EPOCHS, schedule="step", milestones=(EPOCHS // 2,))
    return replace(run, data=replace(run.data, train_limit=IMAGES), optim=optim, eval_every=EPOCHS // 20)


def teacher() -> Run:
    """A student a quarter wider, trained on the same images with another seed."""
    run = long_run(shapes.run())
    student = replace(run.student, backbone=WIDER)
    return replace(run, student=student, init=str(FIRST_WEIGHTS / f"{WIDER}.safetensors"), seed=7)


def distilled(seed: int) -> Run:
    """The student with that teacher, under one seed."""
    return replace(long_run(shapes_distill.run()), seed=seed, teacher=row_folder(teacher()))


def verdict(rows: Rows) -> str:
    """A sentence for each seed: gain in the last quarter, distance to the teacher, and that of the distilled student."""
    top = rows["teacher"]["ap"]
    return "\n".join(
        f"seed {seed}: the student alone gained {100 * last_quarter(rows[f'alone-{seed}']):+.1f} AP in the last quarter; the "
        f"teacher is {100 * (top - rows[f'alone-{seed}']['ap']):+.1f} AP from it; the distilled student is "
        f"{100 * (rows[f'distilled-{seed}']['ap'] - top):+.1f} AP from its teacher"
        for seed in SEEDS
    )


def last_quarter(row: dict) -> float:
    """Gain of AP (0 .. 1) in the last quarter of a row's evaluations."""
    by_epoch = row["ap_by_epoch"]
    return by_epoch[-1] - by_epoch[len(by_epoch) * 3 // 4 - 1]
