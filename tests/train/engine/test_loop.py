"""From a Run to weights: the schedule, the groups, the card, what a step logs, and that it learns."""

import dataclasses
import json
import math
import random
import typing
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from core import losses
from core.errors import UserError
from core.limits import Items, Limits, checked_fields, find
from core.losses import contrast, kd_detr, mgd, prior
from core.runs.checkpoint import load_detector, open_distiller
from core.runs.config import decode, encode
from core.runs.diagnose.history import read_history
from tests.helpers import runs, tiny
from train.engine import loop
from train.errors import Failed
from train.job import optim
from train.job.build import allow_tf32, build, build_distiller
from train.job.summary import describe_device, summary
from train.run import Data, Distil, Losses, Optim, Run
from train.run_folder.log import ProgressDisplay


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> Path:
    """A finished run of the tiny student alone."""
    return loop.fit(runs.small(), tmp_path_factory.mktemp("runs") / "alone")


@pytest.fixture(scope="module")
def distilled(taught) -> Path:
    return loop.fit(runs.small(teacher=taught), taught.parent / "distilled")


# ---- the schedule


@pytest.mark.parametrize(
    "given, expected",
    [
        (Optim(schedule="cosine", warmup=0), [1.0, 0.8535533905932737, 0.5, 0.14644660940672627]),
        (Optim(schedule="cosine", warmup=4), [0.25, 0.5 * 0.8535533905932737, 0.75 * 0.5, 0.14644660940672627]),
        (Optim(schedule="step", epochs=4, milestones=(2, 3), warmup=0), [1.0, 1.0, 0.1, 0.01]),
        (Optim(schedule="step", epochs=2, milestones=(1,), drop=0.5, warmup=0), [1.0, 1.0, 0.5, 0.5]),
        (Optim(schedule="flat-decay", tail=0.5, warmup=0), [1.0, 1.0, 1.0, 0.5]),
        (Optim(schedule="flat-decay", tail=0.0, warmup=2), [0.5, 1.0, 1.0, 1.0]),
        (Optim(schedule="flat-decay", tail=0.0, warmup=2, warmup_from=0.001), [0.001, 0.5005, 1.0, 1.0]),
    ],
)
def test_rates_of_four_steps_by_hand(given, expected):
    assert [optim.rate_factor(given, step, 4) for step in range(4)] == pytest.approx(expected)


def test_drops_come_at_the_first_step_of_an_epoch():
    given = Optim(schedule="step", epochs=50, milestones=(40,), warmup=0)
    for steps_an_epoch in (1, 3, 7, 300, 14786):
        steps = 50 * steps_an_epoch
        first = 40 * steps_an_epoch
        assert optim.rate_factor(given, first - 1, steps) == 1 and optim.rate_factor(given, first, steps) == 0.1


@pytest.mark.parametrize("schedule", optim.SCHEDULES)
def test_after_warmup_a_rate_never_rises(schedule):
    given = Optim(schedule=schedule, epochs=6, milestones=(2, 4), warmup=5)
    rates = [optim.rate_factor(given, step, 60) for step in range(60)]
    assert all(a < b for a, b in zip(rates[:4], rates[1:5]))
    assert all(a >= b for a, b in zip(rates[5:], rates[6:])) and 0 <= min(rates) and max(rates) <= 1


# ---- how much a loss counts in a step


def factors(distil: Distil, every: int = 1, steps: int = 8) -> list[tuple[float, float]]:
    """Those of `detection` and `prior` in each step."""
    student, teacher = tiny.pair("adamixer")
    parts = tiny.distiller(student, teacher, ["detection", "prior"], prior={"every": every}).named_losses
    found = [optim.loss_factors(parts, distil, step, steps) for step in range(steps)]
    assert all(x.keys() == parts.keys() for x in found)
    return [(x["detection"], x["prior"]) for x in found]


@pytest.mark.parametrize(
    "given, every, expected",
    [
        (Distil(), 1, [1.0] * 8),
        (Distil(until=0.75), 1, [1.0] * 6 + [0.0] * 2),
        (Distil(weights="falling"), 1, [1 - step / 8 for step in range(8)]),
        (Distil(until=0.5, weights="falling"), 1, [1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0, 0.0]),
        (Distil(), 3, [3.0, 0.0, 0.0, 3.0, 0.0, 0.0, 3.0, 0.0]),
        (Distil(until=0.5, weights="falling"), 2, [2.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_what_a_loss_counts_in_eight_steps_by_hand(given, every, expected):
    """The detection loss counts 1 always."""
    of_detection, of_prior = zip(*factors(given, every))
    assert set(of_detection) == {1.0} and of_prior == pytest.approx(expected)


def test_a_run_whose_distillation_ends_leaves_the_losses_out_and_says_so(taught, capsys):
    """Its log has their terms until then, and 0 as what they add afterwards."""
    losses_every = replace(runs.small(teacher=taught).losses, prior=prior.Config(weight=1.0, every=2))
    run = runs.small(teacher=taught, losses=losses_every, distil=Distil(until=0.6), gradients_every=1)
    path = loop.fit(run, taught.parent / "ended")
    said = capsys.readouterr().out
    assert "prior x 1 in every 2 steps" in said and "; all but detection until 60% of training\n" in said
    rows = runs.steps(path)
    names = [{name.split("/")[0] for name in row["terms"]} for row in rows]
    assert [("prior" in x, "logits" in x, "detection" in x) for x in names] == [
        (step < 6 and step % 2 == 0, step < 6, True) for step in range(9)
    ]
    for row in rows:
        assert row["weighted"].keys() == rows[0]["weighted"].keys()
        assert all((name in row["terms"]) or x == 0 for name, x in row["weighted"].items())
        assert row["total"] == pytest.approx(sum(row["weighted"].values()))
    twice = {key: 2 * w for key, w in build(run).distiller.weights["prior"].items()}
    for key, weight in twice.items():
        assert rows[2]["weighted"][f"prior/{key}"] == pytest.approx(weight * rows[2]["terms"][f"prior/{key}"])
    norms = [set(x["gradients"]) for x in runs.lines(path) if "gradients" in x]
    assert norms == [x | {"detection"} for x in names]
    assert {t.name.split("/")[0] for t in read_history(path).terms} == {"detection"}


# ---- the groups


def test_groups_hold_each_trainable_weight_once(taught):
    run = runs.small(teacher=taught, optim=replace(runs.OPTIM, backbone_lr=0.1))
    distiller = build(run).distiller
    groups = {g["name"]: g for g in optim.parameter_groups(distiller, run.optim)}
    held = [id(p) for g in groups.values() for p in g["params"]]
    wanted = [p for part in (distiller.student, distiller.losses) for p in part.parameters() if p.requires_grad]
    assert sorted(held) == sorted(map(id, wanted)) and len(set(held)) == len(held)
    assert {id(p) for p in groups["backbone"]["params"]} == {id(p) for p in distiller.student.backbone.parameters()}
    assert groups["backbone"]["base"] == pytest.approx(run.optim.lr * 0.1) and groups["rest"]["base"] == run.optim.lr


@pytest.mark.parametrize(
    "kind, given, rates",
    [
        ("conditional", Optim(lr=1e-4, backbone_lr=0.1), {"rest": 1e-4, "backbone": 1e-5}),
        (
            "deformable",
            Optim(lr=2e-4, backbone_lr=0.1, slow=("to_offset", "to_reference")),
            {"rest": 2e-4, "backbone": 2e-5, "slow": 2e-5},
        ),
        ("adamixer", Optim(lr=2.5e-5), {"rest": 2.5e-5, "backbone": 2.5e-5}),
    ],
)
def test_groups_and_rates_of_the_originals(kind, given, rates):
    """DETR family: the backbone at a tenth; Deformable DETR: sampling_offsets and reference_points too."""
    student = tiny.detector(kind)
    optimizer = optim.optimizer(student, given)
    groups = {g["name"]: g for g in optimizer.param_groups}
    assert {name: g["base"] for name, g in groups.items()} == pytest.approx(rates)
    assert all(g["weight_decay"] == 1e-4 for g in groups.values())
    names = {id(p): name for name, p in student.named_parameters()}
    for name, group in groups.items():
        for p in group["params"]:
            slow = any(f".{part}." in f".{names[id(p)]}" for part in given.slow)
            assert (name == "slow") == slow and (name == "backbone") == names[id(p)].startswith("backbone.")
    optim.set_rate(optimizer, 0.5)
    assert {g["name"]: g["lr"] for g in optimizer.param_groups} == pytest.approx({k: x / 2 for k, x in rates.items()})


def test_slow_weights_that_are_not_there_are_named():
    with pytest.raises(UserError, match="--optim.slow names 'to_offsets'"):
        optim.parameter_groups(tiny.detector("deformable"), Optim(slow=("to_offset", "to_offsets")))


def test_frozen_stages_are_in_no_group():
    run = runs.small(student=tiny.config("adamixer", frozen=2))
    student = build_distiller(run, None).student
    held = {id(p) for g in optim.parameter_groups(student, run.optim) for p in g["params"]}
    assert all(id(p) not in held for stage in student.backbone.stages[:2] for p in stage.parameters())


def test_one_seed_gives_one_student_whoever_teaches(taught):
    alone, under = build(runs.small()).distiller.student, build(runs.small(teacher=taught)).distiller.student
    other = build(runs.small(seed=4)).distiller.student
    assert same(alone.state_dict(), under.state_dict()) and not same(alone.state_dict(), other.state_dict())


def test_37_a_distilled_row_differs_from_one_alone_by_the_teacher_and_nothing_else(taught):
    """The same first weights, images in the same order under the same augmentation, rates and groups of weights."""
    alone, under = build(runs.small()), build(runs.small(teacher=taught))
    for epoch in (0, 1):
        for mine, theirs in zip(alone.loader.epoch(epoch), under.loader.epoch(epoch), strict=True):
            for a, b in zip(mine, theirs):
                assert all(torch.equal(x, vars(b)[key]) for key, x in vars(a).items() if isinstance(x, torch.Tensor))
    student = [optim.parameter_groups(job.distiller.student, job.run.optim) for job in (alone, under)]
    for a, b in zip(*student, strict=True):
        assert (a["base"], a["name"]) == (b["base"], b["name"])
        assert all(torch.equal(x, y) for x, y in zip(a["params"], b["params"], strict=True))
    assert replace(under.run, losses=alone.run.losses, teacher=None) == alone.run
    other = next(iter(build(runs.small(seed=4)).loader.epoch(0)))
    assert not torch.equal(other[0].ids, next(iter(alone.loader.epoch(0)))[0].ids)


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(x, b[k]) for k, x in a.items())


def best(path: Path) -> dict:
    return load_detector(path / "student.safetensors")[0].state_dict()


# ---- the card


ANY_NUMBER = Items()


def draw(kind, rng: random.Random, limits: Limits | None = None, items: Items = ANY_NUMBER):
    """A random value of a type, within the limits of its field; a tuple has as many items as `items` allows."""
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        checked = checked_fields(kind).items()
        return kind(**{n: draw(hints[n], rng, limits, find(Items, t) or ANY_NUMBER) for n, (t, limits) in checked})
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return rng.choice(parts)
    if origin is tuple:
        count = rng.randint(items.least, min(items.most, items.least + 3))
        return tuple(draw(parts[0], rng, limits) for _ in range(count))
    if parts:
        return draw(rng.choice(parts), rng, limits, items)
    low, high = max(limits.least, -9), min(limits.most, 999)
    whole = 1 if limits.divides else limits.of * rng.randint(-(-low // limits.of), int(high) // limits.of)
    simple = {float: rng.uniform(low, high), int: whole, bool: rng.random() < 0.5, str: f"é{rng.random()}"}
    return {**simple, Path: Path(f"a/{rng.random()}"), type(None): None}[kind]


@pytest.mark.parametrize("seed", range(40))
def test_a_card_gives_its_run_back(seed):
    run = draw(Run, random.Random(seed))
    assert decode(Run, json.loads(json.dumps(encode(run))), "card") == run


@pytest.mark.parametrize(
    "where, wrong, said",
    [
        (("optim",), "lrr", "card.optim: no field 'lrr'; perhaps you meant lr"),
        (("data", "augment"), "flipp", "card.data.augment: no field 'flipp'; perhaps you meant flip"),
        (("losses",), "logit", "card.losses: no field 'logit'; perhaps you meant logits"),
        (("losses", "detection"), "wieght", "perhaps you meant weight"),
        (("student", "config"), "quieries", "perhaps you meant queries"),
        ((), "sed", "card: no field 'sed'; perhaps you meant seed"),
    ],
)
def test_a_typo_in_a_card_is_refused(where, wrong, said):
    card = json.loads(json.dumps(encode(runs.small())))
    place = card
    for key in where:
        place = place[key]
    place[wrong] = 1
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        decode(Run, card, "card")


def test_a_card_names_no_module_to_import(monkeypatch):
    card = encode(runs.small())
    card["student"]["detector"] = "antigravity"
    with pytest.raises(UserError, match="no detector 'antigravity'"):
        decode(Run, card, "card")


def test_every_loss_is_a_field_of_losses():
    assert [f.name for f in fields(Losses)] == losses.names()
    assert [f.name for f in fields(Losses) if f.default.weight] == ["detection"], "distillation is asked for"


# ---- a run


def test_what_a_run_leaves(distilled, taught):
    card = json.loads((distilled / "card.json").read_text())
    assert decode(Run, card["run"], "card") == runs.small(teacher=taught, student=tiny.config("adamixer", classes=8))
    assert (distilled / card["teacher"]["path"]).samefile(taught / "student.safetensors")
    assert len(card["teacher"]["sha256"]) == 64 and set(card["teacher"]["scores"]) >= {"ap", "ap50", "per_class"}
    assert card["versions"]["torch"] == torch.__version__ and len(card["categories"]) == 8
    assert {p.name for p in distilled.rglob(".*")} <= {".claim"}, "no scratch file stays"


def test_the_app_s_path_opens_it(distilled):
    distiller, _ = open_distiller(distilled)
    assert sorted(distiller.losses) == losses.names() and distiller.teacher is not None


def test_a_line_for_each_step_and_each_evaluation(distilled):
    steps, scores = runs.steps(distilled), runs.scores(distilled)
    assert runs.lines(distilled)[0] == scores[0]
    assert scores[0]["eval"] == "teacher" and scores[0]["step"] == 0
    assert [(r["step"], r["epoch"]) for r in steps] == [(k + 1, k // 3 + 1) for k in range(9)]
    assert [(r["eval"], r["step"], r["epoch"]) for r in scores[1:]] == [("student", 3 * k, k) for k in (1, 2, 3)]
    assert [r["lr"] for r in steps] == pytest.approx([1e-3 * optim.rate_factor(runs.OPTIM, k, 9) for k in range(9)])
    timing = runs.steps(distilled, "timing.jsonl")
    assert [r["step"] for r in timing] == [r["step"] for r in steps]
    assert all(0 <= r["data"] <= r["seconds"] for r in timing)


def test_terms_make_the_total(distilled):
    weights = open_distiller(distilled)[0].weights
    names = {f"{name}/{key}" for name, maps in weights.items() for key in maps}
    for record in runs.steps(distilled):
        assert record["terms"].keys() == record["weighted"].keys() == names
        for name, value in record["terms"].items():
            loss, key = name.split("/")
            assert record["weighted"][name] == pytest.approx(weights[loss][key] * value)
        assert sum(record["weighted"].values()) == pytest.approx(record["total"], rel=1e-5)


def test_equal_runs_leave_equal_files(taught, tmp_path):
    again = loop.fit(runs.small(), tmp_path / "again")
    assert (again / "metrics.jsonl").read_bytes() == (taught / "metrics.jsonl").read_bytes()
    assert same(best(again), best(taught))


def test_workers_change_nothing(taught, tmp_path):
    again = loop.fit(runs.small(workers=2), tmp_path / "workers")
    assert (again / "metrics.jsonl").read_bytes() == (taught / "metrics.jsonl").read_bytes()


def test_the_best_student_is_kept(monkeypatch, tmp_path):
    aps = iter([0.2, 0.5, 0.3])
    real, seen = loop.score, []

    def score(detector, *args, **more):
        seen.append({k: v.clone() for k, v in detector.state_dict().items()})
        return real(detector, *args, **more) | {"ap": next(aps)}

    monkeypatch.setattr(loop, "score", score)
    path = loop.fit(runs.small(), tmp_path / "best")
    student, card = load_detector(path / "student.safetensors")
    assert card["epoch"] == 2 and card["scores"]["ap"] == 0.5
    assert same(student.state_dict(), seen[1]) and not same(seen[1], seen[2])


def test_evaluation_every_second_epoch_and_at_the_end(tmp_path):
    path = loop.fit(runs.small(eval_every=2), tmp_path / "seldom")
    assert [r["epoch"] for r in runs.scores(path)] == [2, 3]


def test_the_teacher_learns_nothing(taught):
    job = build(runs.small(teacher=taught))
    before = {k: v.clone() for k, v in job.distiller.teacher.state_dict().items()}
    assert same(before, best(taught))
    images, targets = next(job.loader.epoch(0))
    job.distiller.train()(images, targets).total.backward()
    assert all(p.grad is None for p in job.distiller.teacher.parameters())
    assert same(before, job.distiller.teacher.state_dict())


def test_a_batch_is_learnt(tmp_path):
    data, rates = replace(runs.DATA, train_limit=4), replace(runs.OPTIM, epochs=30, lr=2e-3)
    path = loop.fit(runs.small(data=data, optim=rates, eval_every=30), tmp_path / "learnt")
    totals = [r["total"] for r in runs.steps(path)]
    assert sum(totals[-5:]) < 0.75 * sum(totals[:5])


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_half_precision_stays_close(amp, taught, tmp_path):
    one = replace(runs.OPTIM, epochs=1)
    half = runs.steps(loop.fit(runs.small(amp=amp, teacher=taught, optim=one), tmp_path / amp))
    full = runs.steps(loop.fit(runs.small(teacher=taught, optim=one), tmp_path / "full"))
    assert half[0]["total"] == pytest.approx(full[0]["total"], rel=0.05)
    assert all(math.isfinite(r["total"]) for r in half)


def test_what_is_not_finite_is_told_with_its_images(tmp_path):
    run = runs.small(optim=replace(runs.OPTIM, lr=1e30, warmup=0))
    with pytest.raises(loop.NotFinite, match=r"not finite.* images \[\d+, \d+"):
        loop.fit(run, tmp_path / "wild")
    assert len(runs.steps(tmp_path / "wild")) == 1, "the step that failed is not logged"


def test_a_running_mean_is_measured_and_kept(tmp_path, monkeypatch):
    real, seen, means = loop.WeightAverage.update, [], []

    def update(mean):
        real(mean)
        seen.append({k: v.clone() for k, v in mean.source.state_dict().items()})
        means.append({k: v.clone() for k, v in mean.model.module.state_dict().items()})

    monkeypatch.setattr(loop.WeightAverage, "update", update)
    path = loop.fit(runs.small(optim=replace(runs.OPTIM, ema=0.3)), tmp_path / "run")
    for k, (before, now, weights) in enumerate(zip(means, means[1:], seen[1:]), start=1):
        decay = min(0.3, (1 + k) / (10 + k))
        for name, x in now.items():
            expected = decay * before[name] + (1 - decay) * weights[name]
            torch.testing.assert_close(x, expected.to(x.dtype), rtol=1e-5, atol=1e-7)
    assert not same(means[-1], seen[-1])
    epochs = load_detector(path / "student.safetensors")[1]["epoch"]
    assert same(best(path), {k[8:]: x for k, x in means[3 * epochs - 1].items() if k.startswith("student.")})


def test_passes_train_as_one(taught, tmp_path):
    """Of all losses that add up and draw nothing; whom queries are matched with does not change where costs differ."""
    run = runs.small(teacher=taught)
    compares_with_a_whole_batch, draw = contrast.Config(), {"mgd": mgd.Config(), "kd_detr": kd_detr.Config()}
    wanted = replace(run.losses, contrast=compares_with_a_whole_batch, **draw)
    runs_of = (replace(run, losses=wanted, optim=replace(runs.OPTIM, epochs=1, passes=k)) for k in (1, 2))
    one, two = (runs.steps(loop.fit(run, tmp_path / str(run.optim.passes))) for run in runs_of)
    assert two[0]["terms"] == pytest.approx(one[0]["terms"], rel=1e-4, abs=1e-6)
    assert two[0]["grad_norm"] == pytest.approx(one[0]["grad_norm"], rel=1e-3)


@pytest.fixture
def torchs_tf32():
    """Sets what a run has set of TF32 back to torch's default, after a test."""
    yield
    allow_tf32("convolutions")


@pytest.mark.parametrize("what, convolutions, products", [("all", 1, 1), ("off", 0, 0), ("convolutions", 1, 0)])
def test_tf32_is_what_is_asked(what, convolutions, products, torchs_tf32):
    """torch's own switches, which are there without a GPU."""
    allow_tf32(what)
    assert torch.backends.cudnn.allow_tf32 == convolutions and torch.backends.cuda.matmul.allow_tf32 == products


def test_the_summary_says_tf32_where_it_counts():
    job = build(runs.small(tf32="all", prefetch=True))
    assert not torch.backends.cuda.matmul.allow_tf32, "a CPU leaves torch's switches alone"
    assert "on cpu, images copied ahead, seed" in summary(job, Path("runs/x"))
    assert describe_device(replace(job, device=torch.device("cuda"))) == "on cuda, images copied ahead, TF32 all"


def test_channels_last_is_the_same_step(tmp_path):
    given = replace(runs.OPTIM, epochs=1)
    one, two = (
        runs.steps(loop.fit(runs.small(optim=given, channels_last=x), tmp_path / str(x))) for x in (False, True)
    )
    assert two[0]["terms"] == pytest.approx(one[0]["terms"], rel=1e-4)


def test_encoders_and_decoders_are_compiled_on_request(taught, tmp_path, monkeypatch):
    seen, given = [], replace(runs.OPTIM, epochs=1, ema=0.9)
    monkeypatch.setattr(torch, "compile", lambda part: seen.append(part.__name__) or part)
    path = loop.fit(runs.small(teacher=taught, optim=given, compile=True), tmp_path / "compiled")
    assert seen == ["encode", "decode", "decode_groups"] * 2
    plain = loop.fit(runs.small(teacher=taught, optim=given), tmp_path / "plain")
    assert same(best(path), best(plain)) and runs.lines(path) == runs.lines(plain)


@pytest.mark.slow
def test_compiled_is_close(taught, tmp_path):
    given = replace(runs.OPTIM, epochs=1)
    one, two = (
        runs.steps(loop.fit(runs.small(teacher=taught, optim=given, compile=x), tmp_path / str(x)))
        for x in (False, True)
    )
    for a, b in zip(one, two, strict=True):
        assert b["terms"] == pytest.approx(a["terms"], rel=1e-2, abs=1e-4)


def test_the_progress_line_has_pace_wait_memory_and_losses():
    screen = ProgressDisplay(40, lambda: "  gpu 3.2/24 GB")
    weighted = {"detection/class": 1.0, "detection/l1": 2.0, "logits/positive_l1": None}
    record = {"step": 10, "epoch": 2, "total": 3.5, "weighted": weighted}
    screen.step(record, seconds=0.5, waited=0.1)
    assert screen.line(record) == (
        "epoch 2  step 10/40  2.0 it/s  0:15 left  data 20%  gpu 3.2/24 GB  total 3.5  detection 3  logits -"
    )


def test_matching_is_recorded_for_the_student_and_once_for_the_teacher(distilled):
    table = pq.read_table(distilled / "assignments.parquet").to_pylist()
    assert {(r["who"], r["epoch"]) for r in table} == {("teacher", 0), *(("student", k) for k in (1, 2, 3))}
    job = build(runs.small())
    counts = [len(job.val[k].labels) for k in range(4)]
    for who, epoch in {(r["who"], r["epoch"]) for r in table}:
        rows = [r for r in table if (r["who"], r["epoch"]) == (who, epoch)]
        assert len(rows) == 2 * sum(counts), "each object in each of two layers"
        assert all(r["image"] == job.val.ids[r["place"]] and r["object"] < counts[r["place"]] for r in rows)
        assert all(r["margin"] >= 0 and r["runner_up"] != r["query"] for r in rows)
    found = [r for r in runs.lines(distilled) if "instability" in r]
    assert [(r["instability"], r["epoch"]) for r in found] == [("teacher", 0), *(("student", k) for k in (1, 2, 3))]
    assert ["epochs" in r for r in found] == [False, False, True, True]
    for r in found:
        own = [x for x in table if (x["who"], x["epoch"]) == (r["instability"], r["epoch"])]
        where = [{(x["place"], x["query"]): x["object"] for x in own if x["layer"] == k} for k in (0, 1)]
        changed = sum(where[0].get(key) != where[1].get(key) for key in where[0].keys() | where[1].keys())
        assert r["stages"] == [pytest.approx(changed / 4)] and r["mean"] == r["stages"][0]


def test_nothing_is_recorded_on_request(tmp_path):
    path = loop.fit(runs.small(recorded=0, optim=replace(runs.OPTIM, epochs=1)), tmp_path / "run")
    assert not (path / "assignments.parquet").exists() and not [r for r in runs.lines(path) if "instability" in r]


def test_tensorboard_on_request(tmp_path):
    path = loop.fit(runs.small(tensorboard=True, optim=replace(runs.OPTIM, epochs=1)), tmp_path / "drawn")
    assert list((path / "tensorboard").iterdir())


# ---- what does not fit


def test_no_folder_for_what_cannot_be(taught, tmp_path):
    wrong = {
        "every loss has weight 0": runs.small(losses=Losses(detection=losses.module("detection").Config(weight=0.0))),
        "needs a teacher": replace(runs.small(), losses=Losses(logits=losses.module("logits").Config(weight=1.0))),
        "no such file": runs.small(teacher=tmp_path / "nobody"),
        "no backbone": runs.small(student=tiny.config("adamixer", backbone="resnet5")),
        "no device": runs.small(device="abacus"),
        "give the data": runs.small(data=Data(kind="coco")),
    }
    for said, run in wrong.items():
        with pytest.raises(UserError, match=said):
            loop.fit(run, tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("said", "more", "configs"),
    [
        ("nothing is trained after --distil.until 0.5", {"distil": Distil(until=0.5)}, {"kd_detr": {}}),
        ("no loss is computed in every step", {}, {"prior": {"every": 2}}),
        ("every term", {}, {"kd_detr": {"class_weight": 0.0, "l1_weight": 0.0, "giou_weight": 0.0}}),
    ],
)
def test_a_run_is_refused_if_no_loss_is_computed_in_some_step(taught, said, more, configs):
    weights = {"detection": {"weight": 0.0}} | {name: {"weight": 1.0} | options for name, options in configs.items()}
    wanted = Losses(**{name: losses.module(name).Config(**options) for name, options in weights.items()})
    with pytest.raises(UserError, match=said):
        loop.build(runs.small(teacher=taught, losses=wanted, **more))


def test_a_taken_folder_is_left_alone(taught):
    before = {p: p.read_bytes() for p in taught.rglob("*") if p.is_file()}
    with pytest.raises(UserError, match="exists; go on with it by: python -m train resume"):
        loop.fit(runs.small(), taught)
    assert before == {p: p.read_bytes() for p in taught.rglob("*") if p.is_file()}


def test_of_two_that_start_at_once_one_is_refused(tmp_path, monkeypatch):
    path, real = tmp_path / "run", loop.build

    def build_while_another_starts(run):
        monkeypatch.undo()
        loop.fit(run, path)
        return real(run)

    monkeypatch.setattr(loop, "build", build_while_another_starts)
    with pytest.raises(UserError, match="exists"):
        loop.fit(runs.small(optim=replace(runs.OPTIM, epochs=1)), path)
    assert len(runs.steps(path)) == 3 and (path / "student.safetensors").exists()


def test_a_teacher_of_other_classes_is_refused(taught, tmp_path):
    from tests.helpers.coco_folder import write_folder

    path = write_folder(tmp_path / "photos")
    data = Data(kind="coco", train=path, val=path)
    with pytest.raises(UserError, match="does not know the class 'none'; it knows disc, ring, .*--class-map"):
        loop.fit(runs.small(teacher=taught, data=data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_runs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        runs.small().seed = 1


def test_a_full_gpu_is_one_sentence_with_the_flag_to_change(tmp_path, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(loop.Training, "forward_backward", full)
    with pytest.raises(
        Failed, match="the GPU's memory ran out; start the run again with twice the --optim.passes"
    ) as e:
        loop.fit(runs.small(), tmp_path / "run")
    assert str(e.value).count("\n") == 0
