"""Trains the tiny student of each detector alone and distilled, over three seeds.

The result is the README's second table. The recipes are shapes, shapes_deformable and shapes_conditional as they stand, each
with its distilled one, which differs only in the losses and the teacher. The teachers of the last two are rows as well;
AdaMixer's is shipped. If it is stopped and started again, it continues; finished rows are not trained again.
Command: python -m train study twins    Time: 55 minutes on two cores; QUICK=1 for seconds. Result: assets/results/twins.json
"""

from dataclasses import replace
from pathlib import Path

from train import recipes
from train.run import Run, is_quick, quick
from train.studies._grid import RUNS, Rows, result_writer, row_folder, run_rows
from train.studies._pace import step_seconds

SEEDS = (0, 1, 2)
TWINS = {  # each detector's recipe of the student alone
    "adamixer": "shapes",
    "deformable": "shapes_deformable",
    "conditional": "shapes_conditional",
}
TITLES = {"adamixer": "AdaMixer", "deformable": "Deformable DETR", "conditional": "Conditional DETR"}


def main(at_once: int = 2, out: Path = Path("assets/results/twins.json")) -> None:
    """Trains all rows, `at_once` of them side by side, prints the table and writes the rows to `out`."""
    out = RUNS / "twins.json" if is_quick() else out
    about = {"command": "python -m train study twins"}
    write = result_writer(out, **about)
    rows = run_rows(teachers() | alone(), at_once=at_once, on_row=write)
    rows |= run_rows(distilled(), at_once=at_once, on_row=lambda new: write(rows | new))
    first_seeds = {name: run for name, run in (alone() | distilled()).items() if name.endswith(f"-{SEEDS[0]}")}
    times = step_seconds(first_seeds, steps=3 if is_quick() else 30)
    times = {name.rpartition("-")[0]: seconds for name, seconds in times.items()}
    result_writer(out, **about, step_seconds=times)(rows)
    print("\n" + table(rows, times) + f"\n\nwritten to {out}")


def recipe(name: str) -> Run:
    """The run of a recipe, shortened under QUICK=1."""
    return shortened(recipes.recipe(name))


def shortened(run: Run) -> Run:
    """The run on a few images for one epoch under QUICK=1; else the run as it is."""
    return quick(run) if is_quick() else run


def teachers() -> dict[str, Run]:
    """The teachers that are not shipped, by the name of their row."""
    return {f"{kind}-teacher": recipe(f"{TWINS[kind]}_teacher") for kind in TWINS if kind != "adamixer"}


def alone() -> dict[str, Run]:
    """The students without a teacher, of each detector and seed."""
    return {f"{kind}-alone-{s}": replace(recipe(name), seed=s) for kind, name in TWINS.items() for s in SEEDS}


def distilled() -> dict[str, Run]:
    """The students with the three losses of DETRDistill and their teacher, of each detector and seed."""
    rows: dict[str, Run] = {}
    for kind, name in TWINS.items():
        run, teacher = recipe(f"{name}_distill"), teachers().get(f"{kind}-teacher")
        run = replace(run, teacher=row_folder(teacher)) if teacher else run
        rows |= {f"{kind}-distilled-{seed}": replace(run, seed=seed) for seed in SEEDS}
    return rows


def table(rows: Rows, times: dict[str, float]) -> str:
    """The README's table: AP of each seed, the mean gain, and the time of a distilled step as a multiple."""
    head = ["detector", "epochs", "teacher", "alone", "distilled", "gain", "time of a step"]
    lines = [head, ["---"] * len(head), *(cells_of(rows, times, kind) for kind in TWINS)]
    return "\n".join(markdown_row(cells) for cells in lines)


def markdown_row(cells: list[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def cells_of(rows: Rows, times: dict[str, float], kind: str) -> list[str]:
    """The cells of one detector."""
    alone, distilled = ([rows[f"{kind}-{how}-{seed}"] for seed in SEEDS] for how in ("alone", "distilled"))
    gain = sum(d["ap"] - a["ap"] for a, d in zip(alone, distilled)) / len(SEEDS)
    factor = times[f"{kind}-distilled"] / times[f"{kind}-alone"]
    teacher = f"{100 * distilled[0]['teacher']:.1f}"
    return [
        TITLES[kind],
        str(alone[0]["epochs"]),
        teacher,
        scores(alone),
        scores(distilled),
        f"{100 * gain:+.1f}",
        f"x {factor:.1f}",
    ]


def scores(rows: list[dict]) -> str:
    """AP in percent of each row."""
    return ", ".join(f"{100 * r['ap']:.1f}" for r in rows)
