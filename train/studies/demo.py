"""Trains a student DETR alone, and the same student distilled, and compares them.

Both have the same seed, schedule, order of data and initial weights, and train side by side on the generated `shapes`, on a
core each. A table then compares them at equal epochs and at equal time. Seconds are the number of steps times the median
time of a step, measured in turns for both. The row of the student alone at equal time (its whole schedule, stretched) is not
trained here, but comes from `python -m train study demo_seeds`.
Command: make demo (or: python -m train study demo)    Time: under 10 minutes on two cores; QUICK=1 for seconds
"""

import os
from dataclasses import replace
from itertools import count
from pathlib import Path

from core.errors import UserError
from core.files import read_json, write_json
from core.project import ROOT
from core.runs.checkpoint import read_tensors
from train.recipes.on_shapes import shapes, shapes_distill
from train.run import Run, quick
from train.studies._grid import RUNS, is_finished, run_rows
from train.studies._pace import step_seconds

SEEDS = ROOT / "assets" / "results" / "demo_seeds.json"
TITLES = {
    "teacher": "teacher (shipped)",
    "alone": "student alone",
    "distilled": "student distilled",
    "alone_equal_time": "student alone, equal time",
}


TOO_SHORT = "QUICK=1: one epoch on eight images; there is nothing to conclude."


def main(seed: int = 0) -> None:
    """Trains both students with this seed, and prints the table and what to choose."""
    runs, is_quick = pair(seed), os.environ.get("QUICK") == "1"
    if is_quick:
        runs = {name: quick(run) for name, run in runs.items()}
    print(f"{__doc__}\n{initial_weights_note(runs['alone'])}\n", flush=True)
    make_room(RUNS / "demo", runs)
    times = step_seconds(runs, steps=3 if is_quick else 30)
    results = run_rows(runs, at_once=2, folder=RUNS / "demo")
    rows = {"teacher": committed("teacher")}
    rows |= {name: with_seconds(row, times[name]) for name, row in results.items()}
    rows["alone_equal_time"] = with_seconds(committed("alone_equal_time"), times["alone"])
    write_json(RUNS / "demo" / "summary.json", rows)
    print(table(rows) + "\n\n" + (TOO_SHORT if is_quick else advice(rows)))
    print(
        f"\nwritten to {RUNS / 'demo' / 'summary.json'}; look at it with: python -m app {RUNS / 'demo' / 'distilled'}"
    )


def make_room(path: Path, runs: dict[str, Run]) -> None:
    """Renames the folder of an earlier demo with other settings; one with the same settings stays, to be continued."""
    try:
        for name, run in runs.items():
            is_finished(path / name, run)
    except UserError:
        aside = next(p for n in count(1) if not (p := path.with_name(f"{path.name}-{n}")).exists())
        path.rename(aside)
        print(f"the earlier {path} is now {aside}\n")


def pair(seed: int) -> dict[str, Run]:
    """The two runs, which differ only in the losses and the teacher."""
    return {"alone": replace(shapes.run(), seed=seed), "distilled": replace(shapes_distill.run(), seed=seed)}


def initial_weights_note(run: Run) -> str:
    """How the weights that both students start from were made."""
    assert run.init is not None
    card = read_tensors(ROOT / run.init)[1]
    return (
        f"Both start from {run.init}, made by `python -m train study backbones`: {card['made']},\n"
        f"{card['cpu_seconds']} s of one core, not counted below. It saw the boxes and labels of the training images."
    )


def committed(name: str) -> dict:
    """A row of the committed results of the study demo_seeds. UserError: the file is missing."""
    if not SEEDS.exists():
        raise UserError(f"{SEEDS} is missing; make it with: python -m train study demo_seeds")
    return read_json(SEEDS)["demo"][name]


def with_seconds(row: dict, seconds: float) -> dict:
    """The row with the time of its training, given the seconds of a step."""
    return row | {"seconds": row["steps"] * seconds}


def table(rows: dict[str, dict]) -> str:
    """The table of all rows, with its head."""
    head = f"{'':<26} {'AP':>6} {'AP50':>6} {'AP75':>6} {'epochs':>7} {'minutes':>8}"
    return "\n".join([head, *(table_line(TITLES[name], row) for name, row in rows.items())])


def table_line(title: str, row: dict) -> str:
    """One line of the table: AP, AP50, AP75 in percent, epochs and minutes."""
    scores = " ".join(f"{100 * row[key]:6.1f}" for key in ("ap", "ap50", "ap75"))
    return f"{title:<26} {scores} {row['epochs']:>7} {row['seconds'] / 60:>8.1f}"


def advice(rows: dict[str, dict]) -> str:
    """Which training to choose for a time budget, in words."""
    alone, distilled, longer = (rows[name] for name in ("alone", "distilled", "alone_equal_time"))
    gain = 100 * (distilled["ap"] - alone["ap"])
    best, other = sorted([("distilled", distilled), ("alone for as long", longer)], key=lambda x: -x[1]["ap"])
    return (
        f"At equal epochs the distilled student is {gain:+.1f} AP from the student alone.\n"
        f"With {alone['seconds'] / 60:.0f} minutes, train alone (AP {100 * alone['ap']:.1f}). With "
        f"{distilled['seconds'] / 60:.0f} minutes, train {best[0]}: AP {100 * best[1]['ap']:.1f} against "
        f"{100 * other[1]['ap']:.1f} {other[0]}. The images and epochs you have, not the clock, favour distilling."
    )
