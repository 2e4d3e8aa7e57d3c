"""Asks for how long stored logits pay where all images have labels: the student alone and with them, for equal seconds.

The student of `shapes` with the labels of all 2,400 images, alone and with stored logits whose weight falls to 0, as in the rows
`falling` of the study `labels`, whose teacher, first weights and costs these are. Every budget is a number of steps of the
student alone. With the logits it has as many seconds, those in which the teacher looks at the images included, rounded down to
whole epochs. AP is that on shapes/test.

Rows of the file are not trained again, also on another machine.
Command: python -m train study equal_time    Time: 40 minutes on two cores. Result: assets/results/equal_time.json
"""

from pathlib import Path
from typing import Any

import torch

from core.files import read_json
from core.metrics.paired import gain_text, paired_gain
from train.run import Run
from train.studies._grid import Rows, result_writer, run_rows
from train.studies._labelled import BUDGET, IMAGES, SEEDS, Costs, alone_epochs, student, taught_epochs
from train.studies.labels import FILE, missing_runs
from train.studies.twins import scores

BUDGETS = (1500, 2400, BUDGET)  # steps of the student alone
METHODS = ("alone", "falling")


def main(at_once: int = 2, out: Path = Path("assets/results/equal_time.json")) -> None:
    """Trains all rows, `at_once` of them side by side, prints the gain for each budget and writes the rows to `out`."""
    torch.set_num_threads(1)
    rows: Rows = read_json(out)["rows"] if out.exists() else {}
    about: dict[str, Any] = {"command": "python -m train study equal_time", "costs": read_json(FILE)["costs"]}
    write = result_writer(out, **about)
    missing = missing_runs(lambda: runs(about["costs"]), rows, about, at_once)
    rows |= run_rows(missing, at_once=at_once, on_row=lambda new: write(rows | new))
    write(rows)
    print("\n".join(sentence(budget, rows) for budget in BUDGETS) + f"\nwritten to {out}")


def runs(costs: Costs) -> dict[str, Run]:
    """The runs by the names of their rows, one seed after the other, the shortest first."""
    return {
        f"{budget} {method}-{seed}": student(IMAGES, method, epochs(budget, method, costs), seed)
        for seed in SEEDS
        for budget in BUDGETS
        for method in METHODS
    }


def epochs(budget: int, method: str, costs: Costs) -> int:
    """The whole epochs that fit into the seconds of a budget."""
    if method == "alone":
        return alone_epochs(IMAGES, budget / BUDGET)
    return taught_epochs(IMAGES, method, costs, budget)


def sentence(budget: int, rows: Rows) -> str:
    """AP of both methods with this budget, and the gain seed by seed."""
    alone = [rows[f"{budget} alone-{seed}"] for seed in SEEDS]
    taught = [rows[f"{budget} falling-{seed}"] for seed in SEEDS]
    gain = gain_text(paired_gain([row["ap"] for row in taught], [row["ap"] for row in alone]))
    return f"{budget:,} steps: alone {scores(alone)}; with stored logits that fall away {scores(taught)}: {gain}"
