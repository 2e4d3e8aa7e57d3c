"""Trains a student DETR on few labelled images, alone and with a teacher, and compares them at equal time.

The student knows the labels of 150 of 2,400 generated images. It learns from these alone; or also from the others, whose
objects are the teacher's predictions; or with the teacher's stored logits in addition. The teacher has learnt from other
images, and looks at each image once. Two runs train side by side, on a core each. Seconds are the number of steps times the
median time of a step, measured in turns for all runs, and the time in which the teacher looks at the images.

Rows with all labels come from earlier studies: the student alone, for as many steps; and, for as many epochs on the images
that the teacher learnt from, the student alone and distilled by all losses of DETRDistill. `--full` trains the last two here.
Command: make demo (or: python -m train study demo)    Time: under 10 minutes on two cores; QUICK=1 for seconds
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import torch

from core.data.shapes.dataset import COUNTS
from core.errors import UserError
from core.files import read_json, write_json
from core.losses import detection
from core.project import ROOT
from core.runs.checkpoint import read_tensors
from train.recipes.on_shapes import shapes, shapes_distill
from train.run import Losses, Pseudo, Run, is_quick, quick
from train.studies._grid import RUNS, is_finished, run_rows
from train.studies._pace import fill_store, step_seconds

FOLDER = RUNS / "demo"
SEEDS = ROOT / "assets" / "results" / "demo_seeds.json"
LABELLED, DRAW = 150, 1  # labelled images; their data seed, which is not that of the teacher's images
EPOCHS_ALONE, EPOCHS_WITH_TEACHER = 126, 7  # of 19 steps each with the labelled images alone, of 300 with the others
QUICK_NOTE = "QUICK=1: each run has one epoch of 8 images, which tries the command; its numbers mean nothing."
STEP_OF = {"all_labels": "alone", "alone_equal_time": "alone"}  # rows whose step is that of another row
TITLES = {
    "few_alone": "150 labels, alone",
    "few_teacher": "  and a teacher, other images",
    "few_logits": "  and its stored logits",
    "all_labels": "2,400 labels, alone",
    "teacher": "teacher (shipped)",
    "alone": "student alone",
    "distilled": "student distilled",
    "alone_equal_time": "student alone, equal time",
}


def main(seed: int = 0, full: bool = False) -> None:
    """Trains the students with this seed, and prints the table and what to choose.

    Args:
        seed: Random seed of all runs.
        full: Also train the student alone and distilled with all labels: another 8 minutes.
    """
    torch.set_num_threads(
        1
    )  # as many as a row has, so that times are those of a core, and answers are rounded as in a row
    every = few(seed) | pair(seed)
    if is_quick():
        every = {name: shortened(run) for name, run in every.items()}
    runs = every if full else {name: every[name] for name in few(seed)}
    print(f"{QUICK_NOTE if is_quick() else __doc__}\n{initial_weights_note(runs['few_alone'])}\n", flush=True)
    make_room(FOLDER, runs)
    image_seconds = fill_store(runs["few_logits"])
    times = step_seconds(every, steps=3 if is_quick() else 30)
    results = run_rows(runs, at_once=2, folder=FOLDER)
    measured = {
        name: with_seconds(row, times[name], asked(runs[name]) * image_seconds) for name, row in results.items()
    }
    rows = {name: measured.get(name) or timed_again(name, times) for name in TITLES}
    write_json(FOLDER / "summary.json", rows)
    distilled, alone = ("distilled", "alone") if full else ("few_logits", "few_alone")
    conclusion = QUICK_NOTE if is_quick() else f"{few_advice(rows)}\n{advice(rows)}"
    print(f"{table(rows, measured)}\n\n{conclusion}")
    print(f"\nwritten to {FOLDER / 'summary.json'}")
    print(f"look at it with: python -m app {FOLDER / distilled} --compare {FOLDER / alone}")


def make_room(path: Path, runs: dict[str, Run]) -> None:
    """Renames the folder of an earlier demo with other settings; one with the same settings stays, to be continued."""
    try:
        for name, run in runs.items():
            is_finished(path / name, run)
    except UserError:
        aside = next(p for n in count(1) if not (p := path.with_name(f"{path.name}-{n}")).exists())
        path.rename(aside)
        print(f"the earlier {path} is now {aside}\n")


def few(seed: int) -> dict[str, Run]:
    """The runs with few labels, which differ in what they take from the teacher, and in their epochs."""
    start = shapes.run()
    data = replace(start.data, seed=DRAW, train_limit=LABELLED)
    alone = replace(start, data=data, seed=seed, optim=replace(start.optim, epochs=EPOCHS_ALONE), eval_every=18)
    teacher = replace(
        start,
        data=replace(data, unlabelled=("rest",)),
        seed=seed,
        optim=replace(start.optim, epochs=EPOCHS_WITH_TEACHER),
        pseudo=Pseudo(score=0.4),
        teacher=shapes_distill.TEACHER,
        teacher_store=FOLDER / "store",
    )
    losses = Losses(detection=detection.Config(weight=1.0), logits=shapes_distill.LOGITS)
    return {"few_alone": alone, "few_teacher": teacher, "few_logits": replace(teacher, losses=losses)}


def pair(seed: int) -> dict[str, Run]:
    """The two runs with all labels, which differ only in the losses and the teacher."""
    return {"alone": replace(shapes.run(), seed=seed), "distilled": replace(shapes_distill.run(), seed=seed)}


def ceiling() -> Run:
    """The student alone with the labels of all images, for as many steps as the runs with few labels."""
    start = shapes.run()
    return replace(start, data=replace(start.data, seed=DRAW))


def shortened(run: Run) -> Run:
    """The run on a few images, all of which have labels, for one epoch."""
    short = quick(run)
    return replace(short, data=replace(short.data, unlabelled=()))


def asked(run: Run) -> int:
    """How many images the teacher looks at before training; a live teacher looks in each step."""
    if not run.teacher_store:
        return 0
    return COUNTS["train"] if run.data.unlabelled or not run.data.train_limit else run.data.train_limit


def initial_weights_note(run: Run) -> str:
    """How the weights that all students start from were made."""
    assert run.init is not None
    card = read_tensors(ROOT / run.init)[1]
    return (
        f"All start from {run.init}, made by `python -m train study backbones`: {card['made']},\n"
        f"{card['cpu_seconds']} s of one core, not counted below. It saw the labels of the images that the teacher learnt from."
    )


def committed(name: str) -> dict:
    """A row of the committed results of the study demo_seeds. UserError: the file is missing."""
    if not SEEDS.exists():
        raise UserError(f"{SEEDS} is missing; make it with: python -m train study demo_seeds")
    row: dict = read_json(SEEDS)["demo"][name]
    return row


def timed_again(name: str, times: dict[str, float]) -> dict:
    """A committed row with the seconds that it would take here; those of the teacher, whose step is not timed, stay."""
    step = STEP_OF.get(name, name)
    return with_seconds(committed(name), times[step]) if step in times else committed(name)


def with_seconds(row: dict, step: float, before: float = 0.0) -> dict:
    """The row with the seconds of its training, given those of a step, and of the teacher `before` the first one."""
    return row | {"seconds": row["steps"] * step + before}


def table(rows: dict[str, dict], measured: Mapping[str, dict]) -> str:
    """The table of all rows, with its head; rows that were not trained here have a star."""
    head = f"{'':<30} {'AP':>6} {'AP50':>6} {'AP75':>6} {'epochs':>7} {'minutes':>8}"
    lines = [table_line(TITLES[name] + ("" if name in measured else " *"), row) for name, row in rows.items()]
    return "\n".join([head, *lines, f"* trained earlier, by: python -m train study demo_seeds ({SEEDS.name})"])


def table_line(title: str, row: dict) -> str:
    """One line of the table: AP, AP50, AP75 in percent, epochs and minutes."""
    scores = " ".join(f"{100 * row[key]:6.1f}" for key in ("ap", "ap50", "ap75"))
    return f"{title:<30} {scores} {row['epochs']:>7} {row['seconds'] / 60:>8.1f}"


def few_advice(rows: dict[str, dict]) -> str:
    """Says what a teacher is worth to somebody with few labels and many images, in words."""
    alone = rows["few_alone"]
    best = max(rows["few_teacher"], rows["few_logits"], key=lambda row: row["ap"])
    gain, ceiling_ap = 100 * (best["ap"] - alone["ap"]), 100 * rows["all_labels"]["ap"]
    worth = "Few labels, many images: distil." if gain > 0 else "Here the teacher did not help with few labels."
    return (
        f"{worth} With {LABELLED} labels, {best['seconds'] / 60:.1f} minutes with the teacher give {gain:+.1f} AP over "
        f"{alone['seconds'] / 60:.1f} minutes alone, and labels of all images would give AP {ceiling_ap:.1f}."
    )


def advice(rows: dict[str, dict]) -> str:
    """Says what to choose where all images have labels, in words."""
    alone, distilled, longer = (rows[name] for name in ("alone", "distilled", "alone_equal_time"))
    gain = 100 * (distilled["ap"] - alone["ap"])
    best, other = sorted([("distilled", distilled), ("alone for as long", longer)], key=lambda x: -x[1]["ap"])
    return (
        f"All images labelled, and few epochs: at equal epochs the distilled student is {gain:+.1f} AP from the student alone.\n"
        f"All images labelled, and time to train: in {distilled['seconds'] / 60:.0f} minutes, train {best[0]}: AP "
        f"{100 * best[1]['ap']:.1f} against {100 * other[1]['ap']:.1f} {other[0]}."
    )
