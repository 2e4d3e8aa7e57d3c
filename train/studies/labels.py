"""Measures what a teacher and unlabelled images are worth when few images have labels, at equal time.

The student of `shapes` has labels for N of 2,400 images. It learns from these alone; or also from the other images, whose
objects are the teacher's predictions (pseudo truth); or with stored logits or queries of the teacher in addition; or with all
losses of DETRDistill and the teacher in every step. Every row has the same seconds: its steps times the median time of a
step, and the time in which the teacher looks at images. No row takes more than BUDGET steps of the student alone.

No label leaks: the teacher and the backbones that all start from have learnt from another draw of the images. The student
alone has the best of three schedules, chosen for each N on shapes/val with another seed; the other methods are not tuned.
AP is that on shapes/test.

Finished rows are not trained again. `--extended` adds more numbers of labelled images, and the query prior.
Command: python -m train study labels    Time: 2 to 3 hours on two cores. Result: assets/results/labels.json
"""

from pathlib import Path
from typing import Any

import torch

from core.files import read_json, write_json
from core.metrics.pseudo_truth.label_worth import table, worth
from train.run import Run
from train.studies._grid import Rows, run_rows
from train.studies._labelled import (
    BUDGET,
    GROUPS,
    SCORE,
    SEEDS,
    Costs,
    Setting,
    best_lengths,
    extended_settings,
    measured_costs,
    prepare_backbones,
    row_name,
    setting_run,
    settings,
    teacher,
    tuning_rows,
    with_costs,
)


def main(at_once: int = 2, extended: bool = False, out: Path = Path("assets/results/labels.json")) -> None:
    """Trains all rows, `at_once` of them side by side, prints their table and writes them to `out`.

    Args:
        at_once: Number of runs that train side by side, each on one core.
        extended: Also train the rows with 75, 300 and 1,200 labelled images, and those with the query prior.
        out: File of the results.
    """
    torch.set_num_threads(1)
    prepare_backbones()
    about: dict[str, Any] = {"command": "python -m train study labels", "budget_steps": BUDGET, "score": SCORE}
    tuned, rows = dict[str, dict](), dict[str, dict]()

    def write(new: Rows) -> None:
        done = {name: with_costs(name, row, about["costs"]) for name, row in (rows | new).items()}
        unfinished = [name for name in names(extended) if name not in done]
        write_json(out, about | {"unfinished": unfinished, "worth": worth(done), "rows": done})

    for group in GROUPS:
        tuned |= run_rows({"teacher": teacher()} | tuning_rows(group), at_once=at_once)
        about["teacher"] = tuned.pop("teacher")
        about |= {"costs": measured_costs(), "tuning": {name: row["ap"] for name, row in tuned.items()}}
        runs = named_runs(settings(group), about["costs"], best_lengths(tuned))
        rows |= run_rows(runs, at_once=at_once, on_row=write)
    if extended:
        rows |= run_rows(
            named_runs(extended_settings(), about["costs"], best_lengths(tuned)), at_once=at_once, on_row=write
        )
    write({})
    print(table(read_json(out)["rows"]) + f"\nwritten to {out}")


def names(extended: bool) -> list[str]:
    """The names of all rows, or also of those that `--extended` adds."""
    wanted = [s for group in GROUPS for s in settings(group)] + (extended_settings() if extended else [])
    return [row_name(setting, seed) for setting in wanted for seed in SEEDS]


def named_runs(wanted: list[Setting], costs: Costs, lengths: dict[int, float]) -> dict[str, Run]:
    """The runs of these settings by the name of their row, one seed after the other, those with a live teacher last."""
    pairs = [(setting, seed) for seed in SEEDS for setting in wanted]
    pairs.sort(key=lambda pair: pair[0][1] == "full")
    return {row_name(s, seed): setting_run(s, seed, costs, lengths) for s, seed in pairs}
