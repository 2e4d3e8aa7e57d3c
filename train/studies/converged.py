"""Asks whether a distilled student is above the one alone where time is no object, and whether it reaches its teacher.

The student of `shapes` learns from 2,400 images for 60 and for 120 epochs: alone, with all losses of DETRDistill, with the
logits alone, and with the query prior alone. The teacher, twice as wide and deep a backbone, has learnt from 4,800 images,
the student's among them, for 60 epochs. It is to be 3 to 8 AP above the student alone; the last lines say whether it is.
All rows of the first seed are trained before those of the next. AP is that after the last epoch, on shapes/test.

Two parts ask why a student that has run out may lose by its teacher, as in the study `exhausted`. `ends` takes 60 epochs and
all losses, which end after three quarters of training, or whose weights fall to 0 over all of it, or over three quarters.
`few` takes the images, the schedule and the teacher of `exhausted`: each loss alone, all, all of them ending in these ways;
and alone and with all losses under the schedule of the demo, since a learning rate that drops halfway may itself be the cause.
As in `exhausted`, their AP is that on shapes/val.

Rows of the file are not trained again, also on another machine, and a row that was stopped goes on; the file names those that are
missing. `--seeds 1` trains those of the first seed alone, `--part` those of one part: `few`, `long` (the rows of 60 and 120
epochs) or `ends`.
Command: python -m train study converged    Time: 14 hours on two cores. Result: assets/results/converged.json
Minutes of one core for a row, from the times of a step in the demo (alone 0.055 s, distilled 0.125 s): the teacher 100; 60
epochs alone 17, logits 25, prior 31, all losses 38; 120 epochs twice that; a row of `ends` 30 to 38; a row of `few` 4 alone
and 6 to 10 distilled. One seed takes 8.5 hours of one core, beside the teacher.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from core.files import read_json
from core.metrics.paired import gain_text, paired_gain
from train.recipes.on_shapes import shapes, shapes_teacher
from train.run import Distil, Losses, Run
from train.studies import backbones, exhausted
from train.studies._grid import Rows, result_writer, row_folder, run_rows, untrained
from train.studies._labelled import DETECTION, FEATURES, LOGITS, PRIOR
from train.studies.demo import table_line

Part = Literal["few", "long", "ends"]
PARTS: tuple[Part, ...] = get_args(Part)
LENGTHS, SEEDS = (60, 120), (0, 1, 2)
TEACHER_IMAGES, TEACHER_EPOCHS = 4800, 60
EVALUATIONS = 20  # of a row
WANTED_LEAD = (0.03, 0.08)  # of the teacher over the student alone
METHODS = {  # the losses by name; `alone` has no teacher
    "alone": Losses(detection=DETECTION),
    "all": Losses(detection=DETECTION, logits=LOGITS, features=FEATURES, prior=PRIOR),
    "logits": Losses(detection=DETECTION, logits=LOGITS),
    "prior": Losses(detection=DETECTION, prior=PRIOR),
    "features": Losses(detection=DETECTION, features=FEATURES),
}
LONG = ("alone", "all", "logits", "prior")  # methods of the long rows
ENDS = {  # how the losses end
    "until 0.75": Distil(until=0.75),
    "falling": Distil(weights="falling"),
    "falling until 0.75": Distil(until=0.75, weights="falling"),
}


def main(
    at_once: int = 2,
    seeds: int = len(SEEDS),
    part: Part | None = None,
    out: Path = Path("assets/results/converged.json"),
) -> None:
    """Trains all rows, `at_once` of them side by side, prints their table and writes them to `out`.

    Args:
        at_once: Number of runs that train side by side, each on one core.
        seeds: Number of seeds, from 0 on.
        part: Part whose rows are trained; without it all are. The file keeps the rows of the other parts.
        out: File of the results.
    """
    rows: Rows = read_json(out)["rows"] if out.exists() else {}

    def missing(*parts: Part) -> dict[str, Run]:
        return untrained(students(SEEDS[:seeds], parts), rows)

    def write(new: Rows) -> None:
        rows.update(new)
        result_writer(out, command="python -m train study converged", unfinished=list(missing(*PARTS)))(rows)

    parts = tuple(x for x in PARTS if part in (None, x) and missing(x))
    write(run_rows(teachers(parts), at_once=at_once))
    write(run_rows(missing(*parts), at_once=at_once, on_row=write))
    print("\n".join(table_line(name, row) for name, row in rows.items()) + "\n" + verdict(rows) + f"\nwritten to {out}")


def teachers(parts: tuple[Part, ...]) -> dict[str, Run]:
    """The teachers that the students of these parts learn from, by the names of their rows; trains the backbone of one."""
    if "few" in parts and not (exhausted.FIRST_WEIGHTS / f"{exhausted.WIDER}.safetensors").exists():
        backbones.main(exhausted.FIRST_WEIGHTS, names=(exhausted.WIDER,))
    of_few = {"few teacher": exhausted.teacher()} if "few" in parts else {}
    return of_few | ({"teacher": teacher()} if set(parts) - {"few"} else {})


def teacher() -> Run:
    """The teacher of the long rows, trained to its own end on more images than the student has."""
    run = shapes_teacher.run()
    data = replace(run.data, part="test", train_limit=TEACHER_IMAGES)
    return evaluated_rarely(replace(run, data=data, optim=replace(run.optim, epochs=TEACHER_EPOCHS)))


def evaluated_rarely(run: Run) -> Run:
    """The run with EVALUATIONS evaluations, without measurements that take time."""
    every = max(1, run.optim.epochs // EVALUATIONS)
    return replace(run, eval_every=every, recorded=0, gradients_every=0, checkpoint_every=1000)


def students(seeds: tuple[int, ...], parts: tuple[Part, ...] = PARTS) -> dict[str, Run]:
    """The runs of the students of these parts by the name of their row, one seed after the other, short rows first."""
    runs: dict[str, Run] = {}
    for seed in seeds:
        of: dict[Part, dict[str, Run]] = {
            "few": {f"few {name}": run for name, run in few(seed).items()},
            "long": {f"{epochs} {method}": long_run(method, epochs, seed) for epochs in LENGTHS for method in LONG},
            "ends": {f"{LENGTHS[0]} all, {name}": run for name, run in ends(seed).items()},
        }
        runs |= {f"{name}-{seed}": run for part in parts for name, run in of[part].items()}
    return runs


def long_run(method: str, epochs: int, seed: int) -> Run:
    """The student with the images of `shapes`, evaluated on shapes/test."""
    run = shapes.run()
    data, optim = replace(run.data, part="test"), replace(run.optim, epochs=epochs)
    return evaluated_rarely(with_teacher(replace(run, data=data, optim=optim, seed=seed), method, teacher()))


def with_teacher(run: Run, method: str, teacher: Run) -> Run:
    """The run with the losses of a method and this teacher; that of `alone` has none."""
    return replace(run, losses=METHODS[method], teacher=None if method == "alone" else row_folder(teacher))


def ends(seed: int) -> dict[str, Run]:
    """The distilled student of the shorter length whose distillation ends before training does."""
    return {name: replace(long_run("all", LENGTHS[0], seed), distil=distil) for name, distil in ENDS.items()}


def few(seed: int) -> dict[str, Run]:
    """The rows of the study `exhausted`: method by method, ending in three ways, and under the schedule of the demo."""
    start = replace(exhausted.long_run(shapes.run()), seed=seed)
    flat = replace(start, optim=replace(start.optim, schedule="flat-decay", milestones=()))
    runs = {method: with_teacher(start, method, exhausted.teacher()) for method in METHODS}
    runs |= {f"all, {name}": replace(runs["all"], distil=distil) for name, distil in ENDS.items()}
    return runs | {
        f"{method}, demo's schedule": with_teacher(flat, method, exhausted.teacher()) for method in ("alone", "all")
    }


def verdict(rows: Rows) -> str:
    """A sentence for each length and seed whose rows are there, and a line for each distilled student.

    The sentence tells the teacher's lead, and whether it is reached; the line the gain over the student alone under the same
    schedule, with its interval where there are several seeds.
    """
    lengths = [(epochs, seed) for epochs in LENGTHS for seed in SEEDS]
    complete = [x for x in lengths if all(f"{x[0]} {method}-{x[1]}" in rows for method in LONG)]
    return "\n".join([*(sentence(rows, *x) for x in complete), *gain_lines(rows)])


def gain_lines(rows: Rows) -> Iterator[str]:
    """The gain of each distilled student over the one alone, over the seeds that have both."""
    methods = [(epochs, name) for epochs in LENGTHS for name in LONG[1:]]
    methods += [(LENGTHS[0], f"all, {name}") for name in ENDS]
    bases = {f"{epochs} {name}": (f"{epochs} alone", f"{epochs} epochs, {name}") for epochs, name in methods}
    for name in few(SEEDS[0]):
        base = "alone, demo's schedule" if name.endswith("demo's schedule") else "alone"
        bases |= {f"few {name}": (f"few {base}", f"few images, {name}")} if name != base else {}
    for name, (base, title) in bases.items():
        seeds = [seed for seed in SEEDS if f"{name}-{seed}" in rows and f"{base}-{seed}" in rows]
        if seeds:
            ap, alone = ([rows[f"{x}-{seed}"]["ap"] for seed in seeds] for x in (name, base))
            yield f"{title}, AP over the student alone: {gain_text(paired_gain(ap, alone))}"


def sentence(rows: Rows, epochs: int, seed: int) -> str:
    """The sentence for the students of a length and a seed."""
    alone = rows[f"{epochs} alone-{seed}"]["ap"]
    lead = rows["teacher"]["ap"] - alone
    least, most = WANTED_LEAD
    fits = "" if least <= lead <= most else f", which is not the {100 * least:g} to {100 * most:g} that are asked for"
    reached = "reaches" if rows[f"{epochs} all-{seed}"]["ap"] >= rows["teacher"]["ap"] else "does not reach"
    return (
        f"{epochs} epochs, seed {seed}: the teacher is {100 * lead:+.1f} AP from the student alone{fits}; "
        f"with all losses the student {reached} its teacher"
    )
