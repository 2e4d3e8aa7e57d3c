"""The demo over three seeds, with the student alone for as long as the distilled one took: what the README's table says.

Each seed: the student alone and the same student distilled; for the first seed also the student alone on its whole
schedule stretched to the time of the distilled one. Run again, it trains nothing anew and measures the steps again: do
that on a quiet machine.
Command: python -m train study demo_seeds    Time: 50 minutes on two cores. Result: assets/results/demo_seeds.json
"""

from dataclasses import replace
from pathlib import Path

from core.files import write_json
from core.runs.results import result
from train.run import Run
from train.studies._grid import RUNS, run_rows
from train.studies._pace import step_seconds
from train.studies.demo import TITLES, line, pair, timed

SEEDS = (0, 1, 2)
LONGER = (
    18  # epochs of the student alone in the time of the distilled one: 8 times 2.2, the ratio of their median steps
)
TEACHER = RUNS / "shapes_teacher"  # `python -m train fit shapes_teacher`: the run of the shipped teacher


def main(at_once: int = 2, out: Path = Path("assets/results/demo_seeds.json")) -> None:
    found = run_rows(rows(), at_once=at_once)
    pace = step_seconds(pair(0))
    found = {
        name: timed(row, pace["distilled" if name.startswith("distilled") else "alone"]) for name, row in found.items()
    }
    first = {name.removesuffix("-0"): row for name, row in found.items() if name.endswith("-0")}
    shown = {"teacher": result(TEACHER)} | first
    write_json(out, {"command": "python -m train study demo_seeds", "step_seconds": pace, "demo": shown, "rows": found})
    print("\n".join(line(f"{TITLES[name.rsplit('-', 1)[0]]}, seed {name[-1]}", row) for name, row in found.items()))
    print(f"written to {out}")


def rows() -> dict[str, Run]:
    found = {f"{name}-{seed}": run for seed in SEEDS for name, run in pair(seed).items()}
    alone = found["alone-0"]
    return found | {"alone_equal_time-0": replace(alone, optim=replace(alone.optim, epochs=LONGER))}
