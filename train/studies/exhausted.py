"""A student that has run out: little data, many epochs, and a teacher hardly better than itself.

The demo's student is far from having learnt all it can, so a gain there may be speed alone. Here the student alone has
stopped gaining (its last quarter of epochs adds less than 1 AP) and the teacher, a quarter wider, trained on the same
images, is at most 5 AP above it (one half again as wide was 7 above). Does the distilled student pass its teacher, as
the paper's do?
Command: python -m train study exhausted    Time: 25 minutes on two cores. Result: assets/results/exhausted.json
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.on_shapes import shapes, shapes_distill
from train.run import Run
from train.studies import backbones
from train.studies._grid import RUNS, kept, place, run_rows
from train.studies.demo import line

IMAGES, EPOCHS, SEEDS = 150, 240, (0, 1)
FIRST_WEIGHTS = RUNS / "exhausted" / "backbones"
WIDER = "tiny20x1"


def main(at_once: int = 2, out: Path = Path("assets/results/exhausted.json")) -> None:
    if not (FIRST_WEIGHTS / f"{WIDER}.safetensors").exists():
        backbones.main(FIRST_WEIGHTS, names=(WIDER,))
    alone = {f"alone-{seed}": replace(long(shapes.run()), seed=seed) for seed in SEEDS}
    keep = kept(out, command="python -m train study exhausted", images=IMAGES)
    found = run_rows({"teacher": teacher()} | alone, at_once=at_once, each=keep)
    taught = {f"distilled-{seed}": distilled(seed) for seed in SEEDS}
    found |= run_rows(taught, at_once=at_once, each=lambda rows: keep(found | rows))
    keep(found)
    print("\n".join(line(name, row) for name, row in found.items()) + "\n" + verdict(found) + f"\nwritten to {out}")


def long(run: Run) -> Run:
    """Few images, many epochs, the rate a tenth for their second half; measured twenty times."""
    optim = replace(run.optim, epochs=EPOCHS, schedule="step", milestones=(EPOCHS // 2,))
    return replace(run, data=replace(run.data, train_limit=IMAGES), optim=optim, eval_every=EPOCHS // 20)


def teacher() -> Run:
    run = long(shapes.run())
    student = replace(run.student, backbone=WIDER)
    return replace(run, student=student, init=str(FIRST_WEIGHTS / f"{WIDER}.safetensors"), seed=7)


def distilled(seed: int) -> Run:
    return replace(long(shapes_distill.run()), seed=seed, teacher=place(teacher()))


def verdict(found: dict[str, dict]) -> str:
    """The numbers that the study is about, for each seed."""
    top = found["teacher"]["ap"]
    return "\n".join(
        f"seed {seed}: the last quarter gave the student alone {100 * last_quarter(found[f'alone-{seed}']):+.1f} AP; the teacher "
        f"is {100 * (top - found[f'alone-{seed}']['ap']):+.1f} from it; the distilled student is "
        f"{100 * (found[f'distilled-{seed}']['ap'] - top):+.1f} from its teacher"
        for seed in SEEDS
    )


def last_quarter(row: dict) -> float:
    by_epoch = row["ap_by_epoch"]
    return by_epoch[-1] - by_epoch[len(by_epoch) * 3 // 4 - 1]
