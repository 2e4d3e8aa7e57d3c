"""Trains each loss of DETRDistill alone and together, and other methods, on `shapes`.

Tables 1, 3, 7, 8 and 9 of the paper in a size for two cores. Most rows are the student of `shapes` on IMAGES images for EPOCHS
epochs, evaluated on shapes/test after a third, two thirds and all of them; other students are evaluated at the end. These
settings were fixed before the AP of any distilled run was known.

First the weight of each loss is chosen among TRIED, times its UNIT, by the AP on shapes/val of one run with another seed: the
same budget for every method. Then all rows are trained with the same seeds, and gains are taken seed by seed. Rows of the
file, and those that another study has trained, are not trained again, and every finished row is written at once.
Command: python -m train study components    Time: 2 hours on two cores. Result: assets/results/components.json
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from core.files import read_json, write_json
from core.metrics.paired import gain_text, paired_gain
from core.runs.diagnose.history import PLACES, read_history
from train.recipes.on_shapes import shapes, shapes_distill, shapes_printed, shapes_release
from train.run import Losses, Run
from train.studies import backbones, twins
from train.studies._grid import RUNS, Rows, row_folder, run_rows, untrained
from train.studies._pace import step_seconds

BACKBONES = RUNS / "backbones"
IMAGES, EPOCHS = 1600, 3
EQUAL_TIME = 6  # epochs of the student alone in the time of the distilled one: a step of it costs about half
SEEDS, FEWER_SEEDS, TUNING_SEED = (0, 1, 2, 3, 4), (0, 1, 2), 100
TRIED = (0.3, 1.0, 3.0)  # weights of a loss, times its unit
UNIT = {  # weights with which a loss's gradient in the student's features is about that of detection, after 91 steps
    "logits": 1.0,
    "prior": 1.0,
    "features": 1.0,
    "fitnet": 10.0,
    "fgd": 0.3,
    "mgd": 20.0,
    "fkd": 10.0,
    "fgfi": 5.0,
    "fixed": 1.0,
    "kd_detr": 1.0,
}
OURS = ("logits", "prior", "features")
METHODS = ("fitnet", "fgd", "mgd", "fkd", "fgfi", "fixed", "kd_detr")
PAIRS = (("logits", "features"), ("logits", "prior"), ("features", "prior"))
Options = dict[str, Any]  # fields of a loss's Config
MASKS: dict[str, Options] = {
    "gamma 0": {"gamma": 0.0},
    "gamma 0.25": {"gamma": 0.25},
    "gamma 0.75": {"gamma": 0.75},
    "gamma 1": {"gamma": 1.0},
    "naive": {"combine": "naive"},
}  # "features" itself has gamma 0.5
LIGHT_BACKBONES = ("resnet18", "mobilenet_v2")  # lighter than those of the paper, heavier than that of `shapes`
OTHER_DETECTORS = {"deformable": 2, "conditional": 3}  # epochs
NAIVE: dict[str, Options] = {
    "positives only": {"match": "positive"},
    "last stage": {"match": "positive", "stages": "last"},
}


def main(at_once: int = 2, out: Path = Path("assets/results/components.json")) -> None:
    """Tunes the weights, trains all rows, `at_once` of them side by side, prints their gains and writes them to `out`."""
    about: dict[str, Any] = {"command": "python -m train study components", "images": IMAGES, "epochs": EPOCHS}
    about |= {"tried": list(TRIED), "unit": UNIT}
    old: dict[str, Any] = read_json(out) if out.exists() else {"rows": {}}
    results: Rows = {}

    def write(new: Rows) -> None:
        done = results | new
        write_json(out, about | {"rows": done | {name: row for name, row in old["rows"].items() if name not in done}})

    def train(rows: dict[str, Run], prepare: Callable[[], None] = lambda: None) -> None:
        missing = untrained(rows, old["rows"])
        if missing:
            prepare()
        trained = run_rows(missing, at_once=at_once, on_row=write)
        for name, run in missing.items():
            trained[name]["gradient_share"] = {at: read_history(row_folder(run)).gradient(at) for at in PLACES}
        results.update({name: trained[name] if name in trained else old["rows"][name] for name in rows})
        write({})
        print_gains(list(rows), results)

    train(with_seeds(SEEDS, {"none": alone()}))
    weights = about["weights"] = tune_weights(at_once, about, old)
    for block in (components, methods, naive, masks, profiles, self_distilled):
        train(block(weights))
    train(light_backbones(weights), train_light_backbones)
    train(twins.teachers() | other_detectors(weights))
    about["step_seconds"] = step_seconds({name: first_run(name, weights) for name in ("none", "ours", *METHODS)})
    write({})
    print(f"written to {out}")


def alone() -> Run:
    """The student without a teacher."""
    run = shapes.run()
    data = replace(run.data, train_limit=IMAGES, part="test")
    return replace(run, data=data, optim=replace(run.optim, epochs=EPOCHS), eval_every=EPOCHS // 3)


def distilled(**options: Options) -> Run:
    """The student with the shipped teacher and the losses that `options` names, each with its options."""
    losses = Losses(detection=shapes_distill.LOSSES.detection)
    losses = replace(losses, **{name: replace(getattr(losses, name), **changes) for name, changes in options.items()})
    return replace(alone(), losses=losses, teacher=shapes_distill.TEACHER)


def with_seeds(seeds: tuple[int, ...], runs: dict[str, Run]) -> dict[str, Run]:
    """Every run with every seed, as NAME-SEED."""
    return {f"{name}-{seed}": replace(run, seed=seed) for name, run in runs.items() for seed in seeds}


def tune_weights(at_once: int, about: dict[str, Any], old: dict[str, Any]) -> dict[str, float]:
    """The weight of each loss that gives the highest AP on shapes/val; stores all AP in about["tuning"].

    The AP in `old`, a former result of the study, are those of losses with the same unit.
    """
    losses = (*OURS, *METHODS)
    known = {name for name in losses if old.get("unit", {}).get(name) == UNIT[name]}
    ap = {key: x for key, x in old.get("tuning", {}).items() if key.split()[0] in known}
    rows = {
        f"{name} {weight:g}": replace(on_val(distilled(**{name: {"weight": weight * UNIT[name]}})), seed=TUNING_SEED)
        for name in losses
        for weight in TRIED
    }
    missing = {name: run for name, run in rows.items() if name not in ap}
    ap |= {name: row["ap"] for name, row in run_rows(missing, at_once=at_once).items()}
    about["tuning"] = {name: ap[name] for name in rows}
    best = {name: UNIT[name] * max(TRIED, key=lambda weight: ap[f"{name} {weight:g}"]) for name in losses}
    print("weights: " + ", ".join(f"{name} {weight:g}" for name, weight in best.items()), flush=True)
    return best


def on_val(run: Run) -> Run:
    """The run, evaluated once on shapes/val."""
    return replace(run, data=replace(run.data, part="val"), eval_every=EPOCHS)


def with_losses(names: tuple[str, ...], weights: dict[str, float], **options: Options) -> Run:
    """The student with these losses at these weights, and further options of some of them."""
    return distilled(**{name: {"weight": weights[name]} | options.get(name, {}) for name in names})


def components(weights: dict[str, float]) -> dict[str, Run]:
    """Table 7: the three losses one by one, in pairs, and all of them."""
    rows = with_seeds(
        SEEDS, {name: with_losses((name,), weights) for name in OURS} | {"ours": with_losses(OURS, weights)}
    )
    return rows | with_seeds(FEWER_SEEDS, {"+".join(names): with_losses(names, weights) for names in PAIRS})


def methods(weights: dict[str, float]) -> dict[str, Run]:
    """Tables 1 and 3: other methods, and the student alone for as long as a distilled one takes."""
    longer = replace(alone(), optim=replace(alone().optim, epochs=EQUAL_TIME), eval_every=EQUAL_TIME // 3)
    return with_seeds(
        FEWER_SEEDS, {name: with_losses((name,), weights) for name in METHODS} | {"none, equal time": longer}
    )


def naive(weights: dict[str, float]) -> dict[str, Run]:
    """Tables 8 and 9: simpler forms of logits distillation."""
    return with_seeds(FEWER_SEEDS, {title: with_losses(("logits",), weights, logits=x) for title, x in NAIVE.items()})


def masks(weights: dict[str, float]) -> dict[str, Run]:
    """Feature distillation with other masks."""
    return with_seeds(
        FEWER_SEEDS, {title: with_losses(("features",), weights, features=x) for title, x in MASKS.items()}
    )


def profiles(weights: dict[str, float]) -> dict[str, Run]:
    """The losses of the recipes shapes_printed and shapes_release, with the weights of the recipes."""
    profiles = {"printed": shapes_printed.run().losses, "release": shapes_release.run().losses}
    return with_seeds(FEWER_SEEDS, {title: replace(distilled(), losses=losses) for title, losses in profiles.items()})


def self_distilled(weights: dict[str, float]) -> dict[str, Run]:
    """The student with itself as its teacher, trained alone with the same seed."""
    rows = with_seeds(FEWER_SEEDS, {"self": with_losses(OURS, weights)})
    return {name: replace(run, teacher=row_folder(replace(alone(), seed=run.seed))) for name, run in rows.items()}


def tested_at_end(run: Run) -> Run:
    """The run, evaluated once on shapes/test."""
    return replace(run, data=replace(run.data, part="test"), eval_every=run.optim.epochs)


def other_detectors(weights: dict[str, float]) -> dict[str, Run]:
    """Methods on the other two detectors, with the weights tuned for AdaMixer, on all images for fewer epochs."""
    rows = {}
    for kind, epochs in OTHER_DETECTORS.items():
        start = twins.recipe(twins.TWINS[kind])
        alone = tested_at_end(replace(start, optim=replace(start.optim, epochs=epochs)))
        rows[f"{kind}, alone"] = alone
        teacher = row_folder(twins.teachers()[f"{kind}-teacher"])
        for title, names in {"fitnet": ("fitnet",), "fgd": ("fgd",), "ours": OURS}.items():
            rows[f"{kind}, {title}"] = replace(alone, losses=with_losses(names, weights).losses, teacher=teacher)
    return with_seeds(FEWER_SEEDS, rows)


def light_backbones(weights: dict[str, float]) -> dict[str, Run]:
    """Students on torchvision's light backbones, alone and distilled."""
    rows = {f"{name}, alone": on_backbone(alone(), name) for name in LIGHT_BACKBONES}
    rows |= {f"{name}, ours": on_backbone(with_losses(OURS, weights), name) for name in LIGHT_BACKBONES}
    return with_seeds(FEWER_SEEDS, rows)


def train_light_backbones() -> None:
    """Trains the light backbones that are missing, as the tiny ones are trained, since ImageNet weights need a download."""
    missing = tuple(name for name in LIGHT_BACKBONES if not (BACKBONES / f"{name}.safetensors").exists())
    backbones.main(BACKBONES, IMAGES, missing)


def on_backbone(run: Run, name: str) -> Run:
    """The run on another backbone, whose initial weights are in BACKBONES."""
    student, init = replace(run.student, backbone=name), str(BACKBONES / f"{name}.safetensors")
    return tested_at_end(replace(run, student=student, init=init))


def first_run(name: str, weights: dict[str, float]) -> Run:
    """The run of a row with the first seed: of "none", "ours" or a loss."""
    return alone() if name == "none" else with_losses(OURS if name == "ours" else (name,), weights)


def print_gains(names: list[str], results: Rows) -> None:
    """Prints the mean AP of each setting among rows NAME-SEED, and its gain over the same student alone."""
    for name in dict.fromkeys(name.rpartition("-")[0] for name in names if name[-1].isdigit()):
        seeds = [key.rpartition("-")[2] for key in names if key.rpartition("-")[0] == name]
        base = base_of(name, results)
        values, base_values = ([results[f"{x}-{seed}"]["ap"] for seed in seeds] for x in (name, base))
        gain = gain_text(paired_gain(values, base_values)) if name != base else ""
        print(f"{name:<22} AP {100 * mean(values):5.1f}   {gain}", flush=True)


def base_of(name: str, results: Rows) -> str:
    """The name of the same student alone."""
    own = f"{name.rpartition(', ')[0]}, alone"
    return own if f"{own}-0" in results else "none"
