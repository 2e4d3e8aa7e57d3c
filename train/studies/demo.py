"""A student DETR alone, and the same student distilled: same seed, schedule, data order and first weights.

The two train side by side, a core each, on the generated `shapes`; then a table says what distilling gave at equal
epochs and at equal time. Seconds are steps times the median time of a step, measured in turns for both. The row for the
student alone at equal time (its own whole schedule, stretched) is the committed one of `python -m train study demo_seeds`.
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
from train.studies._grid import RUNS, finished, run_rows
from train.studies._pace import step_seconds

SEEDS = ROOT / "assets" / "results" / "demo_seeds.json"
TITLES = {
    "teacher": "teacher (shipped)",
    "alone": "student alone",
    "distilled": "student distilled",
    "alone_equal_time": "student alone, equal time",
}


def main(seed: int = 0) -> None:
    runs, short = pair(seed), os.environ.get("QUICK") == "1"
    if short:
        runs = {name: quick(run) for name, run in runs.items()}
    print("What trains here:\n" + __doc__ + "\n" + origin(runs["alone"]) + "\n", flush=True)
    make_room(RUNS / "demo", runs)
    pace = step_seconds(runs, steps=3 if short else 30)
    found = run_rows(runs, at_once=2, folder=RUNS / "demo")
    rows = {"teacher": committed("teacher")}
    rows |= {name: timed(row, pace[name]) for name, row in found.items()}
    rows["alone_equal_time"] = timed(committed("alone_equal_time"), pace["alone"])
    write_json(RUNS / "demo" / "summary.json", rows)
    print(table(rows) + "\n\n" + advice(rows))
    print(
        f"\nwritten to {RUNS / 'demo' / 'summary.json'}; look at it with: python -m app {RUNS / 'demo' / 'distilled'}"
    )


def make_room(path: Path, runs: dict[str, Run]) -> None:
    """An earlier demo of other settings is moved aside; one of the same settings goes on."""
    try:
        for name, run in runs.items():
            finished(path / name, run)
    except UserError:
        aside = next(p for n in count(1) if not (p := path.with_name(f"{path.name}-{n}")).exists())
        path.rename(aside)
        print(f"the earlier {path} is now {aside}\n")


def pair(seed: int) -> dict[str, Run]:
    """The two runs that differ in nothing but the losses and the teacher."""
    return {"alone": replace(shapes.run(), seed=seed), "distilled": replace(shapes_distill.run(), seed=seed)}


def origin(run: Run) -> str:
    """How the weights were made that both students start from."""
    card = read_tensors(ROOT / run.init)[1]
    return (
        f"Both start from {run.init}, made by `python -m train study backbones`: {card['made']},\n"
        f"{card['cpu_seconds']} s of one core, not counted below. It saw the boxes and labels of the training images."
    )


def committed(name: str) -> dict:
    """A row of the three-seed study that the project ships."""
    if not SEEDS.exists():
        raise UserError(f"{SEEDS} is missing; make it with: python -m train study demo_seeds")
    return read_json(SEEDS)["demo"][name]


def timed(row: dict, seconds: float) -> dict:
    return row | {"seconds": row["steps"] * seconds}


def table(rows: dict[str, dict]) -> str:
    head = f"{'':<26} {'AP':>6} {'AP50':>6} {'AP75':>6} {'epochs':>7} {'minutes':>8}"
    return "\n".join([head, *(line(TITLES[name], row) for name, row in rows.items())])


def line(title: str, row: dict) -> str:
    scores = " ".join(f"{100 * row[key]:6.1f}" for key in ("ap", "ap50", "ap75"))
    return f"{title:<26} {scores} {row['epochs']:>7} {row['seconds'] / 60:>8.1f}"


def advice(rows: dict[str, dict]) -> str:
    """Which to choose for a time budget."""
    alone, distilled, longer = (rows[name] for name in ("alone", "distilled", "alone_equal_time"))
    gain = 100 * (distilled["ap"] - alone["ap"])
    best, other = sorted([("distilled", distilled), ("alone for as long", longer)], key=lambda x: -x[1]["ap"])
    return (
        f"At equal epochs the distilled student is {gain:+.1f} AP from the student alone.\n"
        f"With {alone['seconds'] / 60:.0f} minutes, train alone (AP {100 * alone['ap']:.1f}). With "
        f"{distilled['seconds'] / 60:.0f} minutes, train {best[0]}: AP {100 * best[1]['ap']:.1f} against "
        f"{100 * other[1]['ap']:.1f} {other[0]}. The images and epochs you have, not the clock, favour distilling."
    )
