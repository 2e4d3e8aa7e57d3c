"""How the demo's schedule was chosen: a sweep for the student ALONE, which the distilled student then takes over as it is.

Learning rate and schedule at full length, then the length; the highest AP on shapes/val of one seed wins.
Command: python -m train study demo_sweep    Time: 25 minutes on two cores. Result: assets/results/demo_sweep.json
"""

from dataclasses import replace
from pathlib import Path

from core.files import write_json
from train.grid import run_rows
from train.recipes import shapes
from train.run import Run

RATES = (5e-4, 1e-3, 2e-3)
SCHEDULES = ("cosine", "flat-decay")
EPOCHS = (4, 8)  # 8 is the longest for which the demo's two trainings end within ten minutes


def main(at_once: int = 2, out: Path = Path("assets/results/demo_sweep.json")) -> None:
    found = run_rows("demo_sweep", rows(), at_once=at_once)
    write_json(out, {"command": "python -m train study demo_sweep", "rows": found})
    for name, row in sorted(found.items(), key=lambda item: -item[1]["ap"]):
        print(f"{name:<28} AP {100 * row['ap']:5.1f}  AP50 {100 * row['ap50']:5.1f}")
    print(f"written to {out}; the demo takes the best: set it in train/recipes/shapes.py")


def rows() -> dict[str, Run]:
    asked = [(rate, schedule, max(EPOCHS)) for rate in RATES for schedule in SCHEDULES]
    asked += [(1e-3, "cosine", epochs) for epochs in EPOCHS if epochs != max(EPOCHS)]
    return {f"{schedule}-{rate:g}-{epochs}": alone(rate, schedule, epochs) for rate, schedule, epochs in asked}


def alone(rate: float, schedule: str, epochs: int) -> Run:
    run = shapes.run()
    return replace(run, optim=replace(run.optim, lr=rate, schedule=schedule, epochs=epochs))
