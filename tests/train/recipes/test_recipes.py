"""The recipes: what each says of itself, that it is what its paper describes, and that it trains."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core import detectors
from core.data.transforms import Augment
from core.losses import detection
from core.runs.checkpoint import load_detector, save_detector
from tests.helpers import runs, tiny
from tests.helpers.coco_folder import CATEGORIES, write_folder
from tests.oracles import weights
from train.__main__ import main
from train.cli.recipe_list import field
from train.engine import loop
from train.job import optim
from train.recipes import card as card_of
from train.recipes import names, recipe
from train.recipes.on_shapes.shapes_distill import LOSSES
from train.run import Losses, Run

RECIPES = names()
PAPER = [name for name in RECIPES if name.split("_")[0] in tiny.NATIVE]  # at full size, on COCO
PROFILES = ("shapes_printed", "shapes_release")  # of the losses, beside the default
SECONDS = [name for name in PAPER if name.endswith("_r18")]  # what a fast test can build of each detector

# PAPER's section 4: queries, epochs, drops, rate, of the backbone, images a step, clipping, warm-up, FFN, dropout
SETTINGS = {
    "adamixer": (100, 12, (8, 11), 2.5e-5, 2.5e-5, 16, 1.0, 500, 2048, 0.0),
    "deformable": (300, 50, (40,), 2e-4, 2e-5, 32, 0.1, 0, 1024, 0.1),
    "conditional": (300, 50, (40,), 1e-4, 1e-5, 16, 0.1, 0, 2048, 0.1),
}
STRIDES = {"adamixer": (4, 8, 16, 32), "deformable": (8, 16, 32, 64), "conditional": (32,)}
BACKBONES = {"r101": "resnet101", "r50": "resnet50", "r18": "resnet18", "mobilenetv2": "mobilenet_v2"}
OFFICIAL = {"adamixer": "adamixer_r50_1x", "deformable": "deformable_r50_plain", "conditional": "conditional_r50"}


# ---- what they say


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_called_by_its_file_and_its_teacher_by_a_recipe(name):
    run, card = recipe(name), card_of(name)
    assert run.name == name
    if run.teacher and run.teacher.parts[0] == "runs":
        assert run.teacher.name in RECIPES and f"python -m train fit {run.teacher.name}" in field(card, "Teacher")
        assert recipe(run.teacher.name).teacher is None
    if name in PAPER:
        tiny = field(card, "Tiny")
        assert tiny in RECIPES and tiny.startswith("shapes") and bool(recipe(tiny).teacher) == bool(run.teacher)


def test_every_experiment_is_there():
    sizes = ("r101", "r50", "r50_distill", "r50_self", "r18", "r18_distill", "mobilenetv2", "mobilenetv2_distill")
    wanted = {f"{kind}_{size}" for kind in tiny.NATIVE for size in sizes}
    depths = {f"conditional_e{e}d{d}{how}" for e in (6, 3) for d in (6, 3) for how in ("", "_distill")}
    assert set(PAPER) == wanted | depths | {"conditional_r101_12e"}


@pytest.mark.parametrize("name", PAPER)
def test_the_gain_that_is_expected_is_that_of_the_two_scores(name):
    told = field(card_of(name), "Expect")
    if name.endswith("_distill"):
        alone = field(card_of(name.removesuffix("_distill")), "Expect")
        mine, theirs = (float(re.search(r"AP (\d\d\.\d)", text)[1]) for text in (told, alone))
        assert float(re.search(r"([+-]\d\.\d) by distilling", told)[1]) == pytest.approx(mine - theirs)


def test_the_long_list_shows_score_time_and_paper(capsys):
    assert main(["list", "--long"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = next(k for k, line in enumerate(lines) if line.split()[:1] == ["conditional_r50"])
    assert lines[at].endswith("Conditional DETR on ResNet-50, alone.")
    assert lines[at + 1].split()[0] == "expect" and "AP 40.7 after 50 epochs" in lines[at + 1]
    assert lines[at + 2].split()[0] == "time" and "30 hours of 8 V100" in lines[at + 2]
    assert lines[at + 3].split()[0] == "paper" and lines[at + 3].endswith("arXiv 2108.06152")
    assert sum(line.startswith("      expect ") for line in lines) == len(RECIPES)


# ---- what they are


@pytest.mark.parametrize("name", PAPER)
def test_settings_are_those_of_the_paper(name):
    run, (kind, size) = recipe(name), name.split("_")[:2]
    queries, epochs, drops, rate, backbone, batch, clip, warmup, hidden, dropout = SETTINGS[kind]
    unequal = re.fullmatch(r"e(\d)d(\d)", size)
    if unequal or name.endswith("12e"):
        epochs, drops = 12, (10,)
    if kind == "deformable" and run.teacher:
        warmup = 500
    o, s = run.optim, run.student
    assert detectors.name_of(s) == kind and s.strides == STRIDES[kind]
    assert (s.queries, s.feedforward, getattr(s, "dropout", 0.0), s.classes, s.width) == (
        queries,
        hidden,
        dropout,
        80,
        256,
    )
    assert (o.epochs, o.schedule, o.milestones, o.drop) == (epochs, "step", drops, 0.1)
    assert (o.lr, o.lr * o.backbone_lr, o.weight_decay) == pytest.approx((rate, backbone, 1e-4))
    assert (o.batch, o.clip, o.warmup, o.warmup_from) == (batch, clip, warmup, 0.001 if warmup else None)
    assert (s.backbone, s.frozen) == (BACKBONES.get(size, "resnet50"), 0 if size == "mobilenetv2" else 2)
    depth = tuple(map(int, unequal.groups())) if unequal else (6, 6)
    assert (getattr(s, "encoder_layers", 6), s.layers) == depth and not getattr(s, "refine", False)
    augment = run.data.augment
    many = tuple(range(480, 801, 32))
    sizes, crop = ((800,), False) if kind == "adamixer" else (many, True)
    assert augment == Augment(flip=0.5, sizes=sizes, longest=1333, crop=crop)
    assert run.init == "imagenet" and run.data.kind == "coco" and run.amp == "off" and run.seed == 0


@pytest.mark.parametrize("name", [name for name in RECIPES if recipe(name).teacher and name not in PROFILES])
def test_a_distilled_student_differs_from_one_alone_by_losses_and_teacher(name):
    """The release warms up Deformable DETR's distilled run alone."""
    run = recipe(name)
    alone = recipe(re.sub("_(distill|self)$", "", name))
    assert run.losses == LOSSES and alone.losses == Losses(detection=detection.Config(weight=1.0))
    own = replace(run, name=alone.name, losses=alone.losses, teacher=None)
    if name.startswith("deformable"):
        own = replace(own, optim=replace(own.optim, warmup=0, warmup_from=None))
    assert own == alone


@pytest.mark.parametrize("name", [name for name in RECIPES if recipe(name).teacher])
def test_a_teacher_is_the_student_s_kind(name):
    """But for the backbone and the depths; the teacher of one's own is one's very like."""
    run = recipe(name)
    if run.teacher.parts[0] != "runs":
        return
    theirs, mine = recipe(run.teacher.name).student, run.student
    if name.endswith("_self"):
        assert theirs == mine
    depths = {key: getattr(mine, key) for key in ("layers", "encoder_layers") if hasattr(mine, key)}
    assert replace(theirs, backbone=mine.backbone, frozen=mine.frozen, **depths) == mine
    assert theirs.backbone in ("resnet101", "tiny32x2") or name.endswith("_self")


def test_the_rate_over_a_run_of_adamixer():
    """As its log has it: a warm-up of 500 steps from a thousandth, a tenth after 8 and again after 11 epochs."""
    o, epoch = recipe("adamixer_r50").optim, 7330
    rates = {
        step: o.lr * optim.rate_factor(o, step, 12 * epoch)
        for step in (0, 250, 500, 8 * epoch - 1, 8 * epoch, 11 * epoch)
    }
    assert list(rates.values()) == pytest.approx([2.5e-8, 1.25125e-5, 2.5e-5, 2.5e-5, 2.5e-6, 2.5e-7])


@pytest.mark.parametrize("kind", tiny.NATIVE)
def test_groups_of_weights_are_as_large_as_the_original_s(kind):
    """By the names and shapes of the released file, and by its program's rules for what learns, and how fast."""
    run = recipe(f"{kind}_r50")
    with torch.device("meta"):
        model = detectors.module(kind).Model(replace(run.student, classes=80 if kind == "adamixer" else 91))
    mine = {
        g["name"]: (sum(p.numel() for p in g["params"]), g["base"]) for g in optim.parameter_groups(model, run.optim)
    }
    sizes = {}
    for key, shape in weights.listed(OFFICIAL[kind]).items():
        if group := official_group(kind, key):
            sizes[group] = sizes.get(group, 0) + torch.Size(shape).numel()
    rates = {"rest": run.optim.lr, "backbone": run.optim.lr * 0.1, "slow": run.optim.lr * 0.1}
    if kind == "adamixer":
        rates["backbone"] = run.optim.lr
    assert mine == {name: (size, pytest.approx(rates[name])) for name, size in sizes.items()}


def official_group(kind: str, key: str) -> str | None:
    """None for what does not learn: statistics, the stem, the first stage, copies of shared heads, AdaMixer's start boxes."""
    parts = key.split(".")
    if "running" in key or "num_batches" in key or "init_proposal" in key:
        return None
    if "backbone" in key:
        norm = parts[-2].startswith("bn") or parts[-3:-1] == ["downsample", "1"]
        learns = any(part in ("layer2", "layer3", "layer4") for part in parts) and (kind == "adamixer" or not norm)
        return "backbone" if learns else None
    if kind == "deformable" and parts[0] in ("class_embed", "bbox_embed") and parts[1] != "0":
        return None
    return "slow" if kind == "deformable" and {"reference_points", "sampling_offsets"} & set(parts) else "rest"


# ---- that they train


def small(run: Run, data: Path, teacher: Path | None) -> Run:
    """On three images of a few pixels, in two steps."""
    augment = replace(run.data.augment, sizes=tuple(s // 10 for s in run.data.augment.sizes), longest=120)
    shown = replace(run.data, train=data, val=data, augment=augment)
    steps = replace(run.optim, epochs=1, batch=2)
    run = replace(run, data=shown, optim=steps, init=None, teacher=teacher, threads=1, workers=0)
    return replace(run, recorded=2, gradients_every=0)


def trains(run: Run, path: Path, photos: Path) -> None:
    """Two steps, an evaluation, and an export that opens again."""
    torch.manual_seed(1)
    teacher = None
    if run.teacher:
        config = replace(recipe(run.teacher.name).student, classes=3)
        teacher = path / "teacher.safetensors"
        model = detectors.module(detectors.name_of(config)).Model(config)
        save_detector(teacher, model, {"categories": sorted(CATEGORIES, key=lambda c: c["id"])})
        del model
    loop.fit(small(run, photos, teacher), path / "run")
    steps = runs.steps(path / "run")
    assert len(steps) == 2 and all(s["grad_norm"] > 0 for s in steps)
    assert [s["eval"] for s in runs.scores(path / "run")] == ["teacher", "student"][run.teacher is None :]
    assert main(["export", str(path / "run"), "--to", "safetensors", "--out", str(path / "student")]) == 0
    student, card = load_detector(path / "student" / "student.safetensors")
    assert student.config == replace(run.student, classes=3) and [c["id"] for c in card["categories"]] == [0, 7, 90]


@pytest.mark.parametrize("name", SECONDS)
def test_it_trains(name, tmp_path):
    """At its depth, with small layers."""
    run = recipe(name)
    less = {"feedforward": 64} | ({"points": 4, "mixed_points": 8} if name.startswith("adamixer") else {})
    trains(replace(run, student=replace(run.student, **less)), tmp_path, write_folder(tmp_path / "photos"))


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPER)
def test_it_trains_at_full_size(name, tmp_path):
    trains(recipe(name), tmp_path, write_folder(tmp_path / "photos"))
