"""Trains tiny detectors of transformers on `shapes`, against transformers' own model and loss, and distils them.

For each of FAMILIES and each seed, three questions:

- *alone*: our training step, whose loss and matching are ours; *reference*: the same network with the same first weights, trained
  by transformers' own loss on the same batches, with the same optimiser and schedule, for as many steps, and evaluated alike;
- *own kind*: distilled from a teacher of the same family with a wider backbone, with the losses of the recipe `hub_distill` and
  the query prior;
- *AdaMixer*: distilled from the shipped teacher, a detector of another kind, with the losses of `hub_distill`.

The reference of D-FINE is what transformers 5.24 does, not the paper: it pairs a layer's distributions with the predictions of
the layer before, and trains neither those of the last layer nor the predictions of the last but one.

Backbones start from weights trained as the natives' are (`train.studies.backbones`); the rest starts as transformers makes it.
Neither side has denoising queries. The epochs are enough for a reference of more than 30 AP. All rows are evaluated on
shapes/test. Finished rows are not trained again, and the file names those that are left.
Command: python -m train study hub    Time: about 3 hours on two cores; QUICK=1 for minutes. Result: assets/results/hub.json
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from core.files import write_json
from core.metrics.paired import gain_text, paired_gain
from train.recipes.on_shapes import shapes, shapes_distill
from train.recipes.own_data import hub_distill
from train.run import Run, is_quick
from train.studies._grid import RUNS, Rows, row_folder, run_rows
from train.studies._hub_detectors import first_weights, tiny_config
from train.studies._hub_reference import reference_row
from train.studies._labelled import PRIOR, quiet
from train.studies.twins import scores, shortened

FAMILIES, SEEDS = ("rt_detr_v2", "d_fine", "rf_detr"), (0, 1, 2)
# Options of training in which a family differs from `shapes`, for the student and its reference. At the rate of the others
# RF-DETR has 2.7 AP after 8 epochs. Gradients of norm 150 at the end of a warm-up of 80 steps can stop its learning for good, on
# either side, as they did under seed 1; the release clips at 0.1.
OPTIM: dict[str, dict[str, Any]] = {
    "rt_detr_v2": {"epochs": 6},
    "d_fine": {"epochs": 4},
    "rf_detr": {"epochs": 6, "lr": 5e-4, "clip": 0.1, "warmup": 400},
}
# What the teacher has instead. At the student's rate its wider vision transformer has 27.5 AP after 8 epochs.
OF_TEACHER: dict[str, dict[str, Any]] = {
    "rt_detr_v2": {"epochs": 8},
    "d_fine": {"epochs": 8},
    "rf_detr": {"epochs": 16, "lr": 3e-4, "warmup": 80},
}
OWN_KIND = replace(hub_distill.LOSSES, prior=PRIOR)
# Kinds of rows, and the kind with which each is compared.
KINDS = {"reference": "", "alone": "reference", "own kind": "alone", "AdaMixer": "alone"}


def main(at_once: int = 2, out: Path = Path("assets/results/hub.json")) -> None:
    """Trains all rows, `at_once` of them side by side, prints the gains and writes the rows to `out`."""
    out, rows = RUNS / "hub.json" if is_quick() else out, dict[str, dict]()

    def write(new: Rows) -> None:
        rows.update(new)
        unfinished = [name for name in names() if name not in rows]
        about = {
            "command": "python -m train study hub",
            "optim": OPTIM,
            "optim_of_teacher": OF_TEACHER,
            "unfinished": unfinished,
        }
        write_json(out, about | {"rows": {name: rows[name] for name in names() if name in rows}})

    write(run_rows(teachers(), at_once=at_once, on_row=write))
    for seed in SEEDS:
        write(run_rows(alone(seed) | distilled(seed), at_once=at_once, on_row=write))
        train_references(alone(seed), at_once, write)
    print("\n".join(line for family in FAMILIES for line in gains(family, rows)) + f"\nwritten to {out}")


def names() -> list[str]:
    """The names of all rows, in the order in which they are trained."""
    students = ("alone", "own kind", "AdaMixer", "reference")
    of_seeds = [f"{family}, {how}-{seed}" for seed in SEEDS for how in students for family in FAMILIES]
    return [*(f"{family}-teacher" for family in FAMILIES), *of_seeds]


def base(family: str, seed: int, *, wide: bool = False) -> Run:
    """A run of `shapes` with a family's detector, evaluated on shapes/test; a wide one is the teacher."""
    run = shapes.run()
    images = 16 if is_quick() else None
    optim = replace(run.optim, **OPTIM[family] | (OF_TEACHER[family] if wide else {}))
    run = replace(
        run,
        student=tiny_config(family, wide=wide),
        init=str(first_weights(family, seed, wide=wide, images=images)),
        data=replace(run.data, part="test"),
        optim=optim,
        seed=seed,
    )
    return shortened(replace(quiet(run), eval_every=2))


def alone(seed: int) -> dict[str, Run]:
    """The students without a teacher, by the name of their row."""
    return {f"{family}, alone-{seed}": base(family, seed) for family in FAMILIES}


def teachers() -> dict[str, Run]:
    """The teachers of the students' own kinds."""
    return {f"{family}-teacher": base(family, SEEDS[0], wide=True) for family in FAMILIES}


def distilled(seed: int) -> dict[str, Run]:
    """The students with a teacher of their own kind, and with the shipped AdaMixer."""
    rows: dict[str, Run] = {}
    for family in FAMILIES:
        run, teacher = base(family, seed), row_folder(teachers()[f"{family}-teacher"])
        rows[f"{family}, own kind-{seed}"] = replace(run, losses=OWN_KIND, teacher=teacher)
        rows[f"{family}, AdaMixer-{seed}"] = replace(run, losses=hub_distill.LOSSES, teacher=shapes_distill.TEACHER)
    return rows


def train_references(runs: dict[str, Run], at_once: int, write: Callable[[Rows], None]) -> None:
    """Trains the reference of each run, each in a process of its own; `write` gets the row of each as soon as it is finished."""
    with ProcessPoolExecutor(at_once, get_context("spawn")) as pool:
        started = {pool.submit(reference_row, replace(run, threads=1)): name for name, run in runs.items()}
        for finished in as_completed(started):
            write({started[finished].replace("alone", "reference"): finished.result()})


def gains(family: str, rows: Rows) -> list[str]:
    """Lines of a family: AP of each kind of row, and its gain over the kind with which it is compared."""
    of = {how: [rows[f"{family}, {how}-{seed}"] for seed in SEEDS] for how in KINDS}
    lines = []
    for how, other in KINDS.items():
        values, base = ([row["ap"] for row in of[x]] for x in (how, other or how))
        note = f"   {gain_text(paired_gain(values, base))} to {other}" if other else ""
        lines.append(f"{family:<12} {how:<10} AP {scores(of[how])}{note}")
    return lines
