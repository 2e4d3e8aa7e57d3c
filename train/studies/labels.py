"""Measures what a teacher and unlabelled images are worth when few images have labels, at equal time.

The student of `shapes` has labels for N of 2,400 images. It learns from these alone; or also from the other images, whose
objects are the teacher's predictions (pseudo truth); or with stored logits or queries of the teacher in addition; or with all
losses of DETRDistill and the teacher in every step. Every row has the same seconds: its steps times the median time of a
step, and the time in which the teacher looks at images. No row takes more than BUDGET steps of the student alone.

No label leaks: the teacher and the backbones that all start from have learnt from another draw of the images. The student
alone has the best of three schedules, chosen for each N on shapes/val with another seed; the other methods are not tuned.
AP is that on shapes/test.

Finished rows are not trained again. `--more` adds more numbers of labelled images, and the query prior.
Command: python -m train study labels    Time: 100 minutes on two cores. Result: assets/results/labels.json
"""

from pathlib import Path

import torch

from core.files import write_json
from train.studies._grid import Rows, is_finished, row_folder, run_rows
from train.studies._labelled import (
    BUDGET,
    SEEDS,
    best_lengths,
    measured_costs,
    prepare_backbones,
    row_name,
    setting_run,
    settings,
    teacher,
    tuning_rows,
    with_costs,
)
from train.studies._worth import table, worth


def main(at_once: int = 2, more: bool = False, out: Path = Path("assets/results/labels.json")) -> None:
    """Trains all rows, `at_once` of them side by side, prints their table and writes them to `out`.

    Args:
        at_once: Number of runs that train side by side, each on one core.
        more: Also train the rows with 75, 300 and 1,200 labelled images, and those with the query prior.
        out: File of the results.
    """
    torch.set_num_threads(1)
    prepare_backbones()
    tuned = run_rows({"teacher": teacher()} | tuning_rows(), at_once=at_once)
    lengths = best_lengths(tuned)
    costs = measured_costs()
    about = {
        "command": "python -m train study labels",
        "budget_steps": BUDGET,
        "costs": costs,
        "lengths": {str(n): length for n, length in lengths.items()},
        "tuning": {name: row["ap"] for name, row in tuned.items() if name != "teacher"},
    }
    wanted, others = settings(more=False), settings(more=True)
    runs = {row_name(s, seed): setting_run(s, seed, costs, lengths) for seed in SEEDS for s in [*wanted, *others]}
    first = {row_name(s, seed) for seed in SEEDS for s in wanted}

    def write(rows: Rows) -> None:
        done = {name: with_costs(name, row, costs) for name, row in rows.items()}
        unfinished = [name for name in runs if name not in rows]
        write_json(
            out, about | {"teacher": tuned["teacher"], "unfinished": unfinished, "rows": done, "worth": worth(done)}
        )

    known = {name: run for name, run in runs.items() if is_finished(row_folder(run), run)}
    chosen = {name: run for name, run in runs.items() if more or name in first or name in known}
    rows = run_rows(chosen, at_once=at_once, on_row=write)
    write(rows)
    print(table(rows) + f"\nwritten to {out}")
