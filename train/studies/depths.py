"""Table 4 in a size for two cores: Conditional DETR with as many layers as its teacher, or half, in encoder and decoder.

Recipes shapes_conditional_e4d4_teacher, and _e4d4, _e4d2, _e2d4 and _e2d2 alone and distilled, EPOCHS epochs of all images,
measured once on shapes/test, three seeds. The rate and its warm-up were found with students alone and with the teacher, as
were the epochs; all three losses weigh 1, as in the recipes. Stopped and called again, it trains no finished row anew.
Command: python -m train study depths    Time: 40 minutes on two cores; QUICK=1 for seconds. Result: assets/results/depths.json
"""

from dataclasses import replace
from pathlib import Path

from core.metrics.paired import gain_text, paired_gain
from train.run import Run
from train.studies._grid import kept, place, run_rows
from train.studies.components import at_the_end
from train.studies.twins import recipe, scores, short

DEPTHS = ("e4d4", "e4d2", "e2d4", "e2d2")
SEEDS, EPOCHS = (0, 1, 2), 3


def main(at_once: int = 2, out: Path = Path("assets/results/depths.json")) -> None:
    keep = kept(out, command="python -m train study depths", epochs=EPOCHS)
    found = run_rows({"teacher": teacher()} | students("alone"), at_once=at_once, each=keep)
    found |= run_rows(students("ours"), at_once=at_once, each=lambda rows: keep(found | rows))
    keep(found)
    for depth in DEPTHS:
        mine, base = ([found[f"{depth}, {how}-{seed}"] for seed in SEEDS] for how in ("ours", "alone"))
        beyond = gain_text(paired_gain(*([row["ap"] for row in rows] for rows in (mine, base))))
        print(f"{depth}  alone {scores(base)}  distilled {scores(mine)}  {beyond}")
    print(f"written to {out}")


def teacher() -> Run:
    return recipe("shapes_conditional_e4d4_teacher")


def students(how: str) -> dict[str, Run]:
    return {f"{depth}, {how}-{seed}": replace(student(depth, how), seed=seed) for depth in DEPTHS for seed in SEEDS}


def student(depth: str, how: str) -> Run:
    run = recipe(f"shapes_conditional_{depth}{'_distill' if how == 'ours' else ''}")
    path = place(teacher()) if how == "ours" else None
    return short(at_the_end(replace(run, optim=replace(run.optim, epochs=EPOCHS), teacher=path)))
