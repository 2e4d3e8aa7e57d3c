"""Repeats the demo over three seeds: the numbers of the README's table.

For each seed: the three students with few labels; with all labels, the student alone and the same student distilled. For the
first seed also the ceiling of few labels, which is all labels of the same images, and the student alone with its whole
schedule stretched to the time of the distilled one. When it is run again, finished rows are not trained again, but the steps
are timed again: do that on a quiet machine.
Command: python -m train study demo_seeds    Time: 75 minutes on two cores. Result: assets/results/demo_seeds.json
"""

from dataclasses import replace
from pathlib import Path

import torch

from core.files import write_json
from core.runs.results import result
from train.run import Run
from train.studies._grid import RUNS, run_rows
from train.studies._pace import fill_store, step_seconds
from train.studies.demo import STEP_OF, TITLES, asked, ceiling, few, pair, table_line, with_seconds

SEEDS = (0, 1, 2)
LONGER = 18  # epochs of the student alone in the time of the distilled one: 8 times 2.2, the ratio of their step times
TEACHER = RUNS / "shapes_teacher"  # `python -m train fit shapes_teacher`: the run of the shipped teacher


def main(at_once: int = 2, out: Path = Path("assets/results/demo_seeds.json")) -> None:
    """Trains all rows, `at_once` of them side by side, prints their table and writes them to `out`."""
    torch.set_num_threads(1)
    runs = rows()
    image_seconds = fill_store(runs["few_logits-0"])
    results = run_rows(runs, at_once=at_once)
    times = step_seconds(few(0) | pair(0))
    times |= {name: times[step] for name, step in STEP_OF.items()}
    results = {
        name: with_seconds(row, times[name.rpartition("-")[0]], asked(runs[name]) * image_seconds)
        for name, row in results.items()
    }
    first = {row_name.removesuffix("-0"): row for row_name, row in results.items() if row_name.endswith("-0")}
    about = {"command": "python -m train study demo_seeds", "step_seconds": times, "teacher_seconds": image_seconds}
    write_json(out, about | {"demo": {"teacher": result(TEACHER)} | first, "rows": results})
    titled = [(f"{TITLES[name.rpartition('-')[0]]}, seed {name[-1]}", row) for name, row in results.items()]
    print("\n".join(table_line(title, row) for title, row in titled))
    print(f"written to {out}")


def rows() -> dict[str, Run]:
    """The runs by the name of their row."""
    runs = {f"{name}-{seed}": run for seed in SEEDS for name, run in (few(seed) | pair(seed)).items()}
    alone = runs["alone-0"]
    longer = replace(alone, optim=replace(alone.optim, epochs=LONGER))
    return runs | {"all_labels-0": ceiling(), "alone_equal_time-0": longer}
