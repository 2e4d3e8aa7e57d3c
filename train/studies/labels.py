"""Measures what a teacher and unlabelled images are worth when few images have labels, at equal time.

The student of `shapes` has labels for N of 2,400 images. It learns from these alone; or also from the other images, whose
objects are the teacher's predictions (pseudo truth); or with stored logits or queries of the teacher in addition; or with all
losses of DETRDistill and the teacher in every step. Every row has the same seconds: its steps times the median time of a
step, and the time in which the teacher looks at images. No row takes more than BUDGET steps of the student alone.

No label leaks: the teacher and the backbones that all start from have learnt from another draw of the images. The student
alone has the best of three schedules, chosen for each N on shapes/val with another seed; the other methods are not tuned.
AP is that on shapes/test.

In the rows `falling` the weight of the logits falls to 0, which it reaches after three quarters of the steps.

Rows of the file are not trained again, also on another machine, which then trains a teacher of its own for the missing ones.
`--extended` adds more numbers of labelled images, and the query prior.
Command: python -m train study labels    Time: 2 to 3 hours on two cores. Result: assets/results/labels.json
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from core.files import read_json, write_json
from core.metrics.pseudo_truth.label_worth import table, worth
from train.run import Run
from train.studies._grid import Rows, run_rows, untrained
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

FILE = Path("assets/results/labels.json")


def main(at_once: int = 2, extended: bool = False, out: Path = FILE) -> None:
    """Trains all rows, `at_once` of them side by side, prints their table and writes them to `out`.

    Args:
        at_once: Number of runs that train side by side, each on one core.
        extended: Also train the rows with 75, 300 and 1,200 labelled images, and those with the query prior.
        out: File of the results.
    """
    torch.set_num_threads(1)
    old: dict[str, Any] = read_json(out) if out.exists() else {"tuning": {}, "rows": {}}
    about: dict[str, Any] = {"command": "python -m train study labels", "budget_steps": BUDGET, "score": SCORE}
    about |= {key: old[key] for key in ("teacher", "costs") if key in old}
    tuned, rows = dict[str, float](), dict[str, dict]()

    def write(new: Rows) -> None:
        known = old["rows"] | rows | new
        done = {name: with_costs(name, row, about["costs"]) for name, row in known.items()}
        unfinished = [name for name in names(extended) if name not in done]
        write_json(out, about | {"tuning": tuned, "unfinished": unfinished, "worth": worth(done), "rows": done})

    def train(wanted: list[Setting]) -> None:
        def runs() -> dict[str, Run]:
            return named_runs(wanted, about["costs"], best_lengths(tuned))

        missing = missing_runs(runs, old["rows"], about, at_once)
        rows.update(run_rows(missing, at_once=at_once, on_row=write))

    for group in GROUPS:
        tuned |= tuned_lengths(group, old["tuning"], at_once)
        if "costs" not in about:
            prepare_teacher(about, at_once)
        train(settings(group))
    if extended:
        train(extended_settings())
    write({})
    print(table(read_json(out)["rows"]) + f"\nwritten to {out}")


def tuned_lengths(group: Sequence[int], known: dict[str, float], at_once: int) -> dict[str, float]:
    """The AP of the student alone for each of these numbers of labelled images and each length; trains those not known."""
    runs = tuning_rows(group)
    missing = {name: run for name, run in runs.items() if name not in known}
    if missing:
        prepare_backbones()
    trained = run_rows(missing, at_once=at_once)
    return {name: trained[name]["ap"] if name in trained else known[name] for name in runs}


def missing_runs(runs: Callable[[], dict[str, Run]], rows: Rows, about: dict[str, Any], at_once: int) -> dict[str, Run]:
    """The runs that have no row in `rows`. If there are any, their teacher is prepared, see `prepare_teacher`.

    `runs` is called again after that, since a run names its teacher's folder, which depends on the trained backbones.
    """
    missing = untrained(runs(), rows)
    if missing:
        prepare_teacher(about, at_once)
    return {name: run for name, run in runs().items() if name in missing}


def prepare_teacher(about: dict[str, Any], at_once: int) -> None:
    """Trains backbones and teacher and fills the teacher store, if they are not there yet.

    The teacher's result and the costs of all methods enter `about`; those of a former file stay, so that rows have equal seconds.
    """
    prepare_backbones()
    row = run_rows({"teacher": teacher()}, at_once=at_once)["teacher"]
    for key, value in {"teacher": row, "costs": measured_costs()}.items():
        about.setdefault(key, value)


def names(extended: bool) -> list[str]:
    """The names of all rows, or also of those that `--extended` adds."""
    wanted = [s for group in GROUPS for s in settings(group)] + (extended_settings() if extended else [])
    return [row_name(setting, seed) for setting in wanted for seed in SEEDS]


def named_runs(wanted: list[Setting], costs: Costs, lengths: dict[int, float]) -> dict[str, Run]:
    """The runs of these settings by the name of their row, one seed after the other, those with a live teacher last."""
    pairs = [(setting, seed) for seed in SEEDS for setting in wanted]
    pairs.sort(key=lambda pair: pair[0][1] == "full")
    return {row_name(s, seed): setting_run(s, seed, costs, lengths) for s, seed in pairs}
