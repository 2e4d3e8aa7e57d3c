"""Sweeps learning rate and schedule of the demo's student, trained alone.

The distilled student takes over the best setting unchanged. The sweep is over the demo's 8 epochs, the most with which its
two runs end within ten minutes; the highest AP on shapes/val of one seed wins. flat-decay at 2e-3 was given up: after 3
epochs it had AP 3.3, and 14.1 at 1e-3.
Command: python -m train study demo_sweep    Time: 15 minutes on two cores. Result: assets/results/demo_sweep.json
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from train.recipes.on_shapes import shapes
from train.run import Run
from train.studies._grid import result_writer, run_rows

Schedule = Literal["cosine", "step", "flat-decay"]
ROWS: list[tuple[Schedule, float]] = [
    ("cosine", 5e-4),
    ("cosine", 1e-3),
    ("cosine", 2e-3),
    ("flat-decay", 5e-4),
    ("flat-decay", 1e-3),
]


def main(at_once: int = 2, out: Path = Path("assets/results/demo_sweep.json")) -> None:
    """Trains all rows, `at_once` of them side by side, prints them by AP and writes them to `out`."""
    write = result_writer(out, command="python -m train study demo_sweep")
    write(results := run_rows(rows(), at_once=at_once, on_row=write))
    for name, row in sorted(results.items(), key=lambda item: -item[1]["ap"]):
        print(f"{name:<28} AP {100 * row['ap']:5.1f}  AP50 {100 * row['ap50']:5.1f}")
    print(f"written to {out}; the demo takes the best: set it in train/recipes/on_shapes/shapes.py")


def rows() -> dict[str, Run]:
    """The runs by the name of their row."""
    return {f"{schedule}-{rate:g}": alone(schedule, rate) for schedule, rate in ROWS}


def alone(schedule: Schedule, rate: float) -> Run:
    """The demo's student with another schedule and rate."""
    run = shapes.run()
    return replace(run, optim=replace(run.optim, lr=rate, schedule=schedule))
