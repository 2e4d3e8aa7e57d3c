"""Which part does the work: DETRDistill's losses one by one, and the methods it is compared with, on `shapes`.

Tables 1, 3, 7, 8 and 9 of the paper in a size for two cores. All rows: the student of `shapes`, IMAGES images, EPOCHS
epochs, measured on shapes/test at a third, two thirds and the end; fixed before any distilled run, from the teacher and
the student alone. First the weight of each loss is chosen among TRIED, times the loss's own scale, by the AP on shapes/val
of one run with another seed: the same budget for every method. Then each row under common seeds; differences are taken
seed by seed. A row that another study has trained is taken over, and what is finished is written at once.
Command: python -m train study components    Time: 4 hours on two cores. Result: assets/results/components.json
"""

from dataclasses import replace
from pathlib import Path

from core.files import write_json
from train.grid import place, run_rows
from train.pace import step_seconds
from train.paired import gain, told
from train.recipes import shapes, shapes_distill, shapes_printed, shapes_release
from train.run import Losses, Run

IMAGES, EPOCHS = 1200, 6
EQUAL_TIME = 12  # epochs of the student alone in the time of the distilled one: a step of it costs about half
SEEDS, FEWER, TUNING = (0, 1, 2, 3, 4), (0, 1, 2), 100
TRIED = (0.25, 1.0, 4.0)
OURS = ("logits", "prior", "features")
METHODS = ("fitnet", "fgd", "mgd", "fkd", "fgfi")
PAIRS = (("logits", "features"), ("logits", "prior"), ("features", "prior"))
MASKS = {
    "gamma 0": {"gamma": 0.0},
    "gamma 0.25": {"gamma": 0.25},
    "gamma 0.75": {"gamma": 0.75},
    "gamma 1": {"gamma": 1.0},
    "naive": {"combine": "naive"},
}  # "features" itself has gamma 0.5
NAIVE = {"positives only": {"match": "positive"}, "last stage": {"match": "positive", "stages": "last"}}
Rows = dict[str, dict]


def main(at_once: int = 2, out: Path = Path("assets/results/components.json")) -> None:
    told_of = {"command": "python -m train study components", "images": IMAGES, "epochs": EPOCHS, "tried": list(TRIED)}
    found: Rows = {}

    def keep(rows: Rows) -> None:
        write_json(out, told_of | {"rows": found | rows})

    def train(rows: dict[str, Run]) -> None:
        found.update(run_rows(rows, at_once=at_once, each=keep))

    train(under(SEEDS, {"none": alone()}))
    weights = told_of["weights"] = tuned(at_once, told_of)
    for block in (components, methods, naive, masks, profiles, others):
        train(block(weights))
        report(found)
    told_of["step_seconds"] = step_seconds({name: first_run(name, weights) for name in ("none", "ours", *METHODS)})
    keep(found)
    print(f"written to {out}")


def alone() -> Run:
    run = shapes.run()
    data = replace(run.data, train_limit=IMAGES, part="test")
    return replace(run, data=data, optim=replace(run.optim, epochs=EPOCHS), eval_every=EPOCHS // 3)


def taught(**options: dict) -> Run:
    """By these losses, each given its options; `weight` is times the loss's own scale."""
    losses = Losses(detection=shapes_distill.LOSSES.detection)
    losses = replace(losses, **{name: replace(getattr(losses, name), **given) for name, given in options.items()})
    return replace(alone(), losses=losses, teacher=shapes_distill.TEACHER)


def under(seeds: tuple[int, ...], runs: dict[str, Run]) -> dict[str, Run]:
    return {f"{name}-{seed}": replace(run, seed=seed) for name, run in runs.items() for seed in seeds}


def tuned(at_once: int, told_of: dict) -> dict[str, float]:
    """The weight of each loss, chosen on shapes/val."""
    rows = {
        f"{name} {weight:g}": replace(on_val(taught(**{name: {"weight": weight}})), seed=TUNING)
        for name in (*OURS, *METHODS)
        for weight in TRIED
    }
    found = run_rows(rows, at_once=at_once)
    told_of["tuning"] = {name: row["ap"] for name, row in found.items()}
    best = {name: max(TRIED, key=lambda w: found[f"{name} {w:g}"]["ap"]) for name in (*OURS, *METHODS)}
    print("weights: " + ", ".join(f"{name} {weight:g}" for name, weight in best.items()), flush=True)
    return best


def on_val(run: Run) -> Run:
    return replace(run, data=replace(run.data, part="val"), eval_every=EPOCHS)


def weighed(names: tuple[str, ...], weights: dict[str, float], **more: dict) -> Run:
    return taught(**{name: {"weight": weights[name]} | more.get(name, {}) for name in names})


def components(weights: dict[str, float]) -> dict[str, Run]:
    """Table 7."""
    rows = under(SEEDS, {name: weighed((name,), weights) for name in OURS} | {"ours": weighed(OURS, weights)})
    return rows | under(FEWER, {"+".join(names): weighed(names, weights) for names in PAIRS})


def methods(weights: dict[str, float]) -> dict[str, Run]:
    """Tables 1 and 3, with the student alone for as long as a distilled one takes."""
    longer = replace(alone(), optim=replace(alone().optim, epochs=EQUAL_TIME), eval_every=EQUAL_TIME // 3)
    return under(FEWER, {name: weighed((name,), weights) for name in METHODS} | {"none, equal time": longer})


def naive(weights: dict[str, float]) -> dict[str, Run]:
    """Tables 8 and 9."""
    return under(FEWER, {title: weighed(("logits",), weights, logits=x) for title, x in NAIVE.items()})


def masks(weights: dict[str, float]) -> dict[str, Run]:
    return under(FEWER, {title: weighed(("features",), weights, features=x) for title, x in MASKS.items()})


def profiles(weights: dict[str, float]) -> dict[str, Run]:
    """The equations as printed, and the release; their weights as they stand."""
    found = {"printed": shapes_printed.run().losses, "release": shapes_release.run().losses}
    return under(FEWER, {title: replace(taught(), losses=losses) for title, losses in found.items()})


def others(weights: dict[str, float]) -> dict[str, Run]:
    """The student under itself, as it was trained alone with the same seed."""
    rows = under(FEWER, {"self": weighed(OURS, weights)})
    return {name: replace(run, teacher=place(replace(alone(), seed=run.seed))) for name, run in rows.items()}


def first_run(name: str, weights: dict[str, float]) -> Run:
    return alone() if name == "none" else weighed(OURS if name == "ours" else (name,), weights)


def report(found: Rows) -> None:
    """Of each row: AP over seeds, and what it gives beyond the student alone."""
    for name in dict.fromkeys(name.rpartition("-")[0] for name in found):
        seeds = [key.rpartition("-")[2] for key in found if key.rpartition("-")[0] == name]
        mine, base = ([found[f"{x}-{seed}"]["ap"] for seed in seeds] for x in (name, "none"))
        print(f"{name:<20} AP {100 * sum(mine) / len(mine):5.1f}   {told(gain(mine, base))}", flush=True)
