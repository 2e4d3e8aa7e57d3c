"""How the demo's schedule was chosen: a sweep for the student ALONE, which the distilled student then takes over as it is.

Learning rate and schedule over the demo's 8 epochs, the longest with which its two trainings end within ten minutes; the
highest AP on shapes/val of one seed wins. flat-decay at 2e-3 was given up: after 3 epochs it had AP 3.3, and 14.1 at 1e-3.
Command: python -m train study demo_sweep    Time: 15 minutes on two cores. Result: assets/results/demo_sweep.json
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.on_shapes import shapes
from train.run import Run
from train.studies._grid import kept, run_rows

ROWS = [("cosine", 5e-4), ("cosine", 1e-3), ("cosine", 2e-3), ("flat-decay", 5e-4), ("flat-decay", 1e-3)]


def main(at_once: int = 2, out: Path = Path("assets/results/demo_sweep.json")) -> None:
    keep = kept(out, command="python -m train study demo_sweep")
    keep(found := run_rows(rows(), at_once=at_once, each=keep))
    for name, row in sorted(found.items(), key=lambda item: -item[1]["ap"]):
        print(f"{name:<28} AP {100 * row['ap']:5.1f}  AP50 {100 * row['ap50']:5.1f}")
    print(f"written to {out}; the demo takes the best: set it in train/recipes/shapes.py")


def rows() -> dict[str, Run]:
    return {f"{schedule}-{rate:g}": alone(schedule, rate) for schedule, rate in ROWS}


def alone(schedule: str, rate: float) -> Run:
    run = shapes.run()
    return replace(run, optim=replace(run.optim, lr=rate, schedule=schedule))
