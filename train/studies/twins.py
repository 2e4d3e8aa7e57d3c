"""The tiny twins of the three detectors, alone and distilled, over three seeds: what the README's second table says.

The recipes shapes, shapes_deformable and shapes_conditional as they stand, each with its distilled one, which differs in
nothing but the losses and the teacher. The teachers of the last two are rows as well; AdaMixer's is shipped. Stopped and
called again, it goes on, and trains no finished row anew.
Command: python -m train study twins    Time: 55 minutes on two cores; QUICK=1 for seconds. Result: assets/results/twins.json
"""

import os
from dataclasses import replace
from pathlib import Path

from train import recipes
from train.run import Run, quick
from train.studies._grid import RUNS, Rows, kept, place, run_rows
from train.studies._pace import step_seconds

SEEDS = (0, 1, 2)
TWINS = {  # each detector's recipe of the student alone
    "adamixer": "shapes",
    "deformable": "shapes_deformable",
    "conditional": "shapes_conditional",
}
TITLES = {"adamixer": "AdaMixer", "deformable": "Deformable DETR", "conditional": "Conditional DETR"}


def main(at_once: int = 2, out: Path = Path("assets/results/twins.json")) -> None:
    short = os.environ.get("QUICK") == "1"
    out = RUNS / "twins.json" if short else out
    about = {"command": "python -m train study twins"}
    keep = kept(out, **about)
    found = run_rows(teachers() | alone(), at_once=at_once, each=keep)
    found |= run_rows(distilled(), at_once=at_once, each=lambda rows: keep(found | rows))
    first = {name: run for name, run in (alone() | distilled()).items() if name.endswith(f"-{SEEDS[0]}")}
    pace = {name.rpartition("-")[0]: s for name, s in step_seconds(first, steps=3 if short else 30).items()}
    kept(out, **about, step_seconds=pace)(found)
    print("\n" + table(found, pace) + f"\n\nwritten to {out}")


def recipe(name: str) -> Run:
    return short(recipes.recipe(name))


def short(run: Run) -> Run:
    """In QUICK's form, if that is asked for."""
    return quick(run) if os.environ.get("QUICK") == "1" else run


def teachers() -> dict[str, Run]:
    """Of the detectors whose teacher is not shipped."""
    return {f"{kind}-teacher": recipe(f"{TWINS[kind]}_teacher") for kind in TWINS if kind != "adamixer"}


def alone() -> dict[str, Run]:
    return {f"{kind}-alone-{s}": replace(recipe(name), seed=s) for kind, name in TWINS.items() for s in SEEDS}


def distilled() -> dict[str, Run]:
    found = {}
    for kind, name in TWINS.items():
        run, teacher = recipe(f"{name}_distill"), teachers().get(f"{kind}-teacher")
        run = replace(run, teacher=place(teacher)) if teacher else run
        found |= {f"{kind}-distilled-{seed}": replace(run, seed=seed) for seed in SEEDS}
    return found


def table(found: Rows, pace: dict[str, float]) -> str:
    """As the README has it: AP of each seed in turn, the mean gain, and what a distilled step costs more."""
    head = ["detector", "epochs", "teacher", "alone", "distilled", "gain", "time of a step"]
    return "\n".join(row(cells) for cells in (head, ["---"] * len(head), *(cells_of(found, pace, k) for k in TWINS)))


def row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def cells_of(found: Rows, pace: dict[str, float], kind: str) -> list[str]:
    mine, taught = ([found[f"{kind}-{how}-{seed}"] for seed in SEEDS] for how in ("alone", "distilled"))
    gain = sum(t["ap"] - m["ap"] for m, t in zip(mine, taught)) / len(SEEDS)
    times = pace[f"{kind}-distilled"] / pace[f"{kind}-alone"]
    teacher = f"{100 * taught[0]['teacher']:.1f}"
    return [
        TITLES[kind],
        str(mine[0]["epochs"]),
        teacher,
        scores(mine),
        scores(taught),
        f"{100 * gain:+.1f}",
        f"x {times:.1f}",
    ]


def scores(rows: list[dict]) -> str:
    return ", ".join(f"{100 * r['ap']:.1f}" for r in rows)
