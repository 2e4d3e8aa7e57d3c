"""Searches the best student of `shapes` for a given time, alone and distilled, for those who want the last points of AP.

Every row has the seconds of one core in which the student alone makes BUDGET steps; the time in which a stored teacher looks at
the images counts. The student alone has as many trials as the distilled one: ALONE are learning rates and schedules, TAUGHT are
losses, ways to ask the teacher, and ends. All are measured on shapes/val with another seed. The best of each side is then trained
with three seeds and measured on shapes/test. The teacher, of a backbone twice as wide and deep, has learnt from 4,800 images, the
student's 2,400 among them, for TEACHER_EPOCHS epochs.

Finished rows are not trained again; the file names those that are left.
Command: python -m train study best    Time: 130 minutes on two cores. Result: assets/results/best.json
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any, Literal

import torch

from core.files import write_json
from core.metrics.paired import gain_text, paired_gain
from train.recipes.on_shapes import shapes, shapes_distill, shapes_teacher
from train.run import Distil, Losses, Run
from train.studies._grid import RUNS, Rows, row_folder, run_rows
from train.studies._labelled import DETECTION, FALLING, LOGITS, PRIOR, quiet
from train.studies._pace import kept_costs
from train.studies.twins import scores

FOLDER = RUNS / "best"
BUDGET, IMAGES = 6000, 2400  # steps of the student alone; images that the student learns from
TEACHER_IMAGES, TEACHER_EPOCHS = 4800, 24
SEEDS, TUNING_SEED = (0, 1, 2), 100
JOINT = replace(PRIOR, joint=True)
Schedule = Literal["flat-decay", "cosine"]
SCHEDULES: tuple[Schedule, ...] = ("flat-decay", "cosine")


@dataclass(frozen=True)
class Trial:
    """A trial of the search: the settings in which it differs from the recipe `shapes`."""

    losses: Losses = Losses(detection=DETECTION)
    distil: Distil = Distil()
    stored: bool = True  # the teacher is asked once, unless no loss but detection has a weight
    lr: float = 1e-3
    schedule: Schedule = "flat-decay"

    @property
    def is_taught(self) -> bool:
        """Returns whether a loss needs the teacher."""
        return self.losses != Losses(detection=DETECTION)


RATES = {"flat-decay": (5e-4, 7e-4, 1e-3, 1.4e-3, 2e-3), "cosine": (5e-4, 1e-3, 2e-3)}
ALONE = {f"{schedule} {lr:g}": Trial(lr=lr, schedule=schedule) for schedule in SCHEDULES for lr in RATES[schedule]}
TAUGHT = {
    "stored logits": Trial(Losses(detection=DETECTION, logits=LOGITS)),
    "stored logits, falling": Trial(Losses(detection=DETECTION, logits=LOGITS), FALLING),
    "stored prior": Trial(Losses(detection=DETECTION, prior=JOINT)),
    "stored prior, falling": Trial(Losses(detection=DETECTION, prior=JOINT), FALLING),
    "stored logits and prior": Trial(Losses(detection=DETECTION, logits=LOGITS, prior=JOINT)),
    "stored logits and prior, falling": Trial(Losses(detection=DETECTION, logits=LOGITS, prior=JOINT), FALLING),
    "all, live": Trial(shapes_distill.LOSSES, stored=False),
    "all, live, falling": Trial(shapes_distill.LOSSES, FALLING, stored=False),
}
SIDES = {"alone": ALONE, "distilled": TAUGHT}
TRIALS = ALONE | TAUGHT


def main(at_once: int = 2, out: Path = Path("assets/results/best.json")) -> None:
    """Trains all rows, `at_once` of them side by side, prints the winners and their gain, and writes the rows to `out`."""
    torch.set_num_threads(1)
    about: dict[str, Any] = {"command": "python -m train study best", "budget_steps": BUDGET}
    tuned, rows = dict[str, dict](), dict[str, dict]()

    def write(new: Rows) -> None:
        done = tuned | rows | new
        wanted = ["teacher", *TRIALS, *(f"{side}-{seed}" for side in SIDES for seed in SEEDS)]
        write_json(out, about | {"unfinished": [name for name in wanted if name not in done], "rows": done})

    tuned |= run_rows({"teacher": teacher()} | tuning_runs(ALONE, {}), at_once=at_once, on_row=write)
    seconds = about["seconds"] = measured_seconds()
    tuned |= run_rows(tuning_runs(TAUGHT, seconds), at_once=at_once, on_row=write)
    winners = {side: max(trials, key=lambda name: tuned[name]["ap"]) for side, trials in SIDES.items()}
    about["winners"] = winners
    finals = {f"{side}-{seed}": student(winners[side], seed, seconds) for seed in SEEDS for side in winners}
    rows |= run_rows(finals, at_once=at_once, on_row=write)
    write({})
    print(verdict(winners, rows) + f"\nwritten to {out}")


def teacher() -> Run:
    """The teacher of all distilled students."""
    run = shapes_teacher.run()
    data = replace(run.data, part="test", train_limit=TEACHER_IMAGES)
    return quiet(replace(run, data=data, optim=replace(run.optim, epochs=TEACHER_EPOCHS)))


def of_epochs(trial: Trial, epochs: int, seed: int) -> Run:
    """The student of a trial for so many epochs."""
    run = shapes.run()
    optim = replace(run.optim, epochs=epochs, lr=trial.lr, schedule=trial.schedule)
    run = replace(
        run, data=replace(run.data, part="test"), optim=optim, losses=trial.losses, distil=trial.distil, seed=seed
    )
    if trial.is_taught:
        run = replace(run, teacher=row_folder(teacher()), teacher_store=FOLDER / "store" if trial.stored else None)
    return quiet(run)


def measured_seconds() -> dict[str, float]:
    """Seconds of one core: of a step with the losses of each trial, and under "image" of the teacher's look at one image."""
    trials = {"alone": Trial()} | {name: trial for name, trial in TAUGHT.items() if trial.distil == Distil()}
    runs = {name: of_epochs(trial, 1, 0) for name, trial in trials.items()}
    return kept_costs(FOLDER / "seconds.json", runs, runs["stored logits"])


def student(name: str, seed: int, seconds: dict[str, float]) -> Run:
    """The student of a trial, for as many epochs as the budget allows; `seconds` are not needed by the student alone."""
    trial, steps = TRIALS[name], float(BUDGET)
    if trial.is_taught:
        left = BUDGET * seconds["alone"] - (IMAGES * seconds["image"] if trial.stored else 0.0)
        # Once distillation has ended, a step takes as long as that of the student alone.
        constant = replace(trial, distil=Distil())  # the trial with the same losses whose step was timed
        taught_step = next(seconds[other] for other in TAUGHT if TAUGHT[other] == constant)
        steps = left / (trial.distil.until * taught_step + (1 - trial.distil.until) * seconds["alone"])
    return of_epochs(trial, max(1, int(steps / ceil(IMAGES / shapes.run().optim.batch))), seed)


def tuning_runs(trials: Iterable[str], seconds: dict[str, float]) -> dict[str, Run]:
    """The students of these trials, measured on shapes/val, with the seed of the search."""
    runs = {name: student(name, TUNING_SEED, seconds) for name in trials}
    return {name: replace(run, data=replace(run.data, part="val")) for name, run in runs.items()}


def verdict(winners: dict[str, str], rows: Rows) -> str:
    """The winners, AP of each seed, and the gain of the distilled student."""
    of = {side: [rows[f"{side}-{seed}"] for seed in SEEDS] for side in winners}
    gain = paired_gain(*([row["ap"] for row in of[side]] for side in ("distilled", "alone")))
    lines = [f"{side}: {winner}, AP {scores(of[side])}" for side, winner in winners.items()]
    return "\n".join(lines) + f"\nthe distilled student gains {gain_text(gain)} AP in the same time"
