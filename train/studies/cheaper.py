"""Measures in AP what cheaper distilled steps cost: a teacher that is asked once, a query prior that is trained more seldom.

The student of `shapes` under the shipped teacher, as long as in its recipe, evaluated on shapes/test, three seeds. `live` is the
paper's way: the teacher sees each image as the student does, mirrored and recoloured. `stored` is a teacher that has
seen each image once, as it is. The rows named `prior` have the logits too; their queries come from the store in every step, in
every second or fourth one with as many times the weight, or are decoded in one pass with the student's own (`joint`). All rows of
a seed are trained before those of the next. Seconds of a step are those of one core's processor time.
Command: python -m train study cheaper    Time: 1 hour on two cores; QUICK=1 for seconds. Result: assets/results/cheaper.json
"""

from dataclasses import replace
from pathlib import Path
from time import process_time

import torch

from core.files import write_json
from core.metrics.paired import gain_text, paired_gain
from train.recipes.on_shapes import shapes, shapes_distill
from train.run import Losses, Run, is_quick
from train.studies._grid import RUNS, Rows, run_rows
from train.studies._labelled import DETECTION, LOGITS, PRIOR, quiet
from train.studies._pace import fill_store, step_seconds
from train.studies.components import tested_at_end
from train.studies.twins import scores, shortened

SEEDS = (0, 1, 2)
STORE = RUNS / "cheaper" / "store"
PRIORS = {
    "prior, live": PRIOR,
    "prior, stored": PRIOR,
    "prior, every 2": replace(PRIOR, every=2),
    "prior, every 4": replace(PRIOR, every=4),
    "prior, joint": replace(PRIOR, joint=True),
}
LOSSES = {
    "alone": Losses(detection=DETECTION),
    "logits, live": Losses(detection=DETECTION, logits=LOGITS),
    "logits, stored": Losses(detection=DETECTION, logits=LOGITS),
    **{name: Losses(detection=DETECTION, logits=LOGITS, prior=config) for name, config in PRIORS.items()},
}
BASES = {  # the rows that each is compared with
    "logits, live": ("alone",),
    "logits, stored": ("alone", "logits, live"),
    "prior, live": ("logits, live",),
    "prior, stored": ("logits, stored", "prior, live"),
    "prior, every 2": ("logits, stored", "prior, stored"),
    "prior, every 4": ("logits, stored", "prior, stored"),
    "prior, joint": ("logits, stored", "prior, stored"),
}


def main(at_once: int = 2, out: Path = Path("assets/results/cheaper.json")) -> None:
    """Trains all rows, `at_once` of them side by side, prints the gains and writes the rows to `out`."""
    torch.set_num_threads(1)
    out = RUNS / "cheaper.json" if is_quick() else out
    runs = {f"{name}-{seed}": student(name, seed) for seed in SEEDS for name in LOSSES}
    fill_store(runs[f"logits, stored-{SEEDS[0]}"])
    about = {"command": "python -m train study cheaper", "epochs": runs[f"alone-{SEEDS[0]}"].optim.epochs}

    def write(rows: Rows) -> None:
        write_json(out, about | {"unfinished": [name for name in runs if name not in rows], "rows": rows})

    rows = run_rows(runs, at_once=at_once, on_row=write)
    first = {name: runs[f"{name}-{SEEDS[0]}"] for name in LOSSES}
    about |= {"step_seconds": step_seconds(first, steps=3 if is_quick() else 30, clock=process_time)}
    write(rows)
    print("\n".join(line(name, rows) for name in LOSSES) + f"\nwritten to {out}")


def student(name: str, seed: int) -> Run:
    """A run of the student with the losses of that name."""
    run = replace(shapes.run(), losses=LOSSES[name], seed=seed)
    if name != "alone":
        run = replace(run, teacher=shapes_distill.TEACHER, teacher_store=None if "live" in name else STORE)
    return shortened(tested_at_end(quiet(run)))


def line(name: str, rows: Rows) -> str:
    """A line of the table: AP of each seed, and the gains over other rows."""
    of = {x: [rows[f"{x}-{seed}"] for seed in SEEDS] for x in (name, *BASES.get(name, ()))}
    ap = {x: [row["ap"] for row in of[x]] for x in of}
    gains = [f"{gain_text(paired_gain(ap[name], ap[base]))} to {base}" for base in BASES.get(name, ())]
    return f"{name:<15} AP {scores(of[name])}   " + "; ".join(gains)
