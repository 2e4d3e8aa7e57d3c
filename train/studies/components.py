"""Which part does the work: DETRDistill's losses one by one, and the methods it is compared with, on `shapes`.

Tables 1, 3, 7, 8 and 9 of the paper in a size for two cores. Most rows: the student of `shapes`, IMAGES images, EPOCHS
epochs, measured on shapes/test at a third, two thirds and the end; other students at the end. Fixed before the AP of any
distilled run was seen. First the weight of each loss is chosen among TRIED, times its UNIT, by the AP on shapes/val of one
run with another seed: the same budget for every method. Then each row under common seeds; differences are taken seed by
seed. A row that another study has trained is taken over, and what is finished is written at once.
Command: python -m train study components    Time: 2 hours on two cores. Result: assets/results/components.json
"""

from dataclasses import replace
from pathlib import Path
from statistics import mean

from core.files import write_json
from core.metrics.paired import gain_text, paired_gain
from core.runs.diagnose.history import PLACES, read_history
from train.recipes.on_shapes import shapes, shapes_distill, shapes_printed, shapes_release
from train.run import Losses, Run
from train.studies import backbones, twins
from train.studies._grid import RUNS, place, run_rows
from train.studies._pace import step_seconds

IMAGES, EPOCHS = 1600, 3
EQUAL_TIME = 6  # epochs of the student alone in the time of the distilled one: a step of it costs about half
SEEDS, FEWER, TUNING = (0, 1, 2, 3, 4), (0, 1, 2), 100
TRIED = (0.3, 1.0, 3.0)
UNIT = {  # where a loss pulls the student's features about as hard as detection does, after 91 steps of seed 0
    "logits": 1.0,
    "prior": 1.0,
    "features": 1.0,
    "fitnet": 10.0,
    "fgd": 0.3,
    "mgd": 20.0,
    "fkd": 10.0,
    "fgfi": 5.0,
}
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
LIGHTER = ("resnet18", "mobilenet_v2")  # lighter than the paper's students, heavier than ours
ELSEWHERE = {"deformable": 2, "conditional": 3}  # epochs
NAIVE = {"positives only": {"match": "positive"}, "last stage": {"match": "positive", "stages": "last"}}
Rows = dict[str, dict]


def main(at_once: int = 2, out: Path = Path("assets/results/components.json")) -> None:
    told_of = {"command": "python -m train study components", "images": IMAGES, "epochs": EPOCHS}
    told_of |= {"tried": list(TRIED), "unit": UNIT}
    found: Rows = {}

    def keep(rows: Rows) -> None:
        write_json(out, told_of | {"rows": found | rows})

    def train(rows: dict[str, Run]) -> None:
        found.update(run_rows(rows, at_once=at_once, each=keep))
        for name, run in rows.items():
            found[name]["gradient_share"] = {at: read_history(place(run)).gradient(at) for at in PLACES}
        keep({})
        report({name: found[name] for name in rows}, found)

    train(under(SEEDS, {"none": alone()}))
    weights = told_of["weights"] = tuned(at_once, told_of)
    for block in (components, methods, naive, masks, profiles, itself):
        train(block(weights))
    train(lighter(weights))
    train(twins.teachers() | elsewhere(weights))
    told_of["step_seconds"] = step_seconds({name: first_run(name, weights) for name in ("none", "ours", *METHODS)})
    keep({})
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
        f"{name} {weight:g}": replace(on_val(taught(**{name: {"weight": weight * UNIT[name]}})), seed=TUNING)
        for name in (*OURS, *METHODS)
        for weight in TRIED
    }
    found = run_rows(rows, at_once=at_once)
    told_of["tuning"] = {name: row["ap"] for name, row in found.items()}
    best = {n: UNIT[n] * max(TRIED, key=lambda w: found[f"{n} {w:g}"]["ap"]) for n in (*OURS, *METHODS)}
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


def itself(weights: dict[str, float]) -> dict[str, Run]:
    """The student under itself, as it was trained alone with the same seed."""
    rows = under(FEWER, {"self": weighed(OURS, weights)})
    return {name: replace(run, teacher=place(replace(alone(), seed=run.seed))) for name, run in rows.items()}


def at_the_end(run: Run) -> Run:
    """Measured on shapes/test, once."""
    return replace(run, data=replace(run.data, part="test"), eval_every=run.optim.epochs)


def elsewhere(weights: dict[str, float]) -> dict[str, Run]:
    """Methods on the other two detectors, with the weights found for AdaMixer, on all images for fewer epochs."""
    rows = {}
    for kind, epochs in ELSEWHERE.items():
        start = twins.recipe(twins.TWINS[kind])
        mine = at_the_end(replace(start, optim=replace(start.optim, epochs=epochs)))
        rows[f"{kind}, alone"] = mine
        teacher = place(twins.teachers()[f"{kind}-teacher"])
        for title, names in {"fitnet": ("fitnet",), "fgd": ("fgd",), "ours": OURS}.items():
            rows[f"{kind}, {title}"] = replace(mine, losses=weighed(names, weights).losses, teacher=teacher)
    return under(FEWER, rows)


def lighter(weights: dict[str, float]) -> dict[str, Run]:
    """Students on torchvision's light backbones, each begun like the tiny ones, as ImageNet weights need a download."""
    folder = RUNS / "backbones"
    missing = tuple(name for name in LIGHTER if not (folder / f"{name}.safetensors").exists())
    backbones.main(folder, IMAGES, missing)
    rows = {f"{name}, alone": on_backbone(alone(), name, folder) for name in LIGHTER}
    return under(FEWER, rows | {f"{x}, ours": on_backbone(weighed(OURS, weights), x, folder) for x in LIGHTER})


def on_backbone(run: Run, name: str, folder: Path) -> Run:
    student, init = replace(run.student, backbone=name), str(folder / f"{name}.safetensors")
    return at_the_end(replace(run, student=student, init=init))


def first_run(name: str, weights: dict[str, float]) -> Run:
    return alone() if name == "none" else weighed(OURS if name == "ours" else (name,), weights)


def report(rows: Rows, found: Rows) -> None:
    """Of each row: AP over seeds, and what it gives beyond the same student alone."""
    for name in dict.fromkeys(name.rpartition("-")[0] for name in rows if name[-1].isdigit()):
        seeds = [key.rpartition("-")[2] for key in rows if key.rpartition("-")[0] == name]
        mine, base = ([found[f"{x}-{seed}"]["ap"] for seed in seeds] for x in (name, base_of(name, found)))
        beyond = gain_text(paired_gain(mine, base)) if name != base_of(name, found) else ""
        print(f"{name:<22} AP {100 * mean(mine):5.1f}   {beyond}", flush=True)


def base_of(name: str, found: Rows) -> str:
    """The row of the same student alone."""
    own = f"{name.rpartition(', ')[0]}, alone"
    return own if f"{own}-0" in found else "none"
