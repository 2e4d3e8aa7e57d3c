"""Trains Table 4 on two cores: students with all or half of the teacher's layers.

Conditional DETR in the recipes shapes_conditional_e4d4_teacher, and _e4d4, _e4d2, _e2d4 and _e2d2 alone and distilled: EPOCHS
epochs of all images, evaluated once on shapes/test, three seeds. Learning rate, warm-up and epochs were chosen with students
alone and with the teacher; all three losses have weight 1, as in the recipes. If it is stopped and started again, finished
rows are not trained again.
Command: python -m train study depths    Time: 40 minutes on two cores; QUICK=1 for seconds. Result: assets/results/depths.json
"""

from dataclasses import replace
from pathlib import Path

from core.metrics.paired import gain_text, paired_gain
from train.run import Run
from train.studies._grid import result_writer, row_folder, run_rows
from train.studies.components import tested_at_end
from train.studies.twins import recipe, scores, shortened

DEPTHS = ("e4d4", "e4d2", "e2d4", "e2d2")
SEEDS, EPOCHS = (0, 1, 2), 3


def main(at_once: int = 2, out: Path = Path("assets/results/depths.json")) -> None:
    """Trains all rows, `at_once` of them side by side, prints the gain of each depth and writes the rows to `out`."""
    write = result_writer(out, command="python -m train study depths", epochs=EPOCHS)
    rows = run_rows({"teacher": teacher()} | students("alone"), at_once=at_once, on_row=write)
    rows |= run_rows(students("ours"), at_once=at_once, on_row=lambda new: write(rows | new))
    write(rows)
    for depth in DEPTHS:
        distilled, alone = ([rows[f"{depth}, {how}-{seed}"] for seed in SEEDS] for how in ("ours", "alone"))
        gain = paired_gain([row["ap"] for row in distilled], [row["ap"] for row in alone])
        print(f"{depth}  alone {scores(alone)}  distilled {scores(distilled)}  {gain_text(gain)}")
    print(f"written to {out}")


def teacher() -> Run:
    """The teacher of all distilled students, with 4 layers in encoder and decoder."""
    return recipe("shapes_conditional_e4d4_teacher")


def students(how: str) -> dict[str, Run]:
    """The students of all depths and seeds, "alone" or distilled ("ours"), by the name of their row."""
    return {f"{depth}, {how}-{seed}": replace(student(depth, how), seed=seed) for depth in DEPTHS for seed in SEEDS}


def student(depth: str, how: str) -> Run:
    """A student of one depth, "alone" or distilled ("ours")."""
    run = recipe(f"shapes_conditional_{depth}{'_distill' if how == 'ours' else ''}")
    path = row_folder(teacher()) if how == "ours" else None
    run = replace(run, optim=replace(run.optim, epochs=EPOCHS), teacher=path)
    return shortened(tested_at_end(run))
