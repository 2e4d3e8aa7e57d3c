"""The diagnosis names what is wrong with runs that were spoilt on purpose, and finds nothing wrong with sound ones."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.losses import features, logits, prior
from core.runs.checkpoint import load_detector, save_detector
from core.runs.diagnose import diagnose
from core.runs.diagnose.findings import findings, has_trend, swapped_names
from core.runs.diagnose.history import Epoch, History
from core.runs.diagnose.replay import ReplayStatistics, TeacherLabels
from tests.helpers import runs
from train.__main__ import main
from train.engine import loop
from train.recipes.on_shapes import shapes_distill
from train.run import Losses, Run

TEACHER = Path("assets/teacher_shapes.safetensors")
HEALTHY = Path("assets/runs/shapes_distill")


@pytest.fixture
def doctored(tmp_path, monkeypatch):
    """Trains the recipe, made small and then spoilt, for two seconds, and asks the doctor."""
    monkeypatch.setattr(loop, "summary", lambda job, path: "")  # its estimate of memory takes as long again

    def doctored(spoil):
        loop.fit(spoil(small(), tmp_path), tmp_path / "run")
        return diagnose(tmp_path / "run")

    return doctored


def small() -> Run:
    run = shapes_distill.run()
    student = replace(run.student, layers=2, queries=12, feedforward=64, points=4, mixed_points=4)
    data, optim = replace(run.data, train_limit=16, val_limit=12), replace(run.optim, epochs=2, batch=2, warmup=2)
    return replace(run, student=student, data=data, optim=optim, threads=1, gradients_every=4, recorded=0, eval_every=2)


def weighing(run: Run, **losses) -> Run:
    return replace(run, losses=replace(run.losses, **losses))


def teacher(path: Path, spoil) -> Path:
    """The shipped one, changed."""
    found, card = load_detector(TEACHER)
    with torch.no_grad():
        spoil(found)
    save_detector(path, found, {"categories": card["categories"]})
    return path


def untrained(run: Run, path: Path) -> Run:
    def forget(model):
        model.load_state_dict(type(model)(model.config).state_dict())

    return replace(run, teacher=teacher(path / "teacher.safetensors", forget))


def rows_permuted(run: Run, path: Path) -> Run:
    def permute(model):
        rows = [p for name, p in model.named_parameters() if "class" in name and p.shape[0] == model.config.classes]
        assert len(rows) >= model.config.layers
        for p in rows:
            p.copy_(p.roll(1, 0))

    return replace(run, teacher=teacher(path / "teacher.safetensors", permute))


def map_permuted(run: Run, path: Path) -> Run:
    names = [c["name"] for c in load_detector(TEACHER)[1]["categories"]]
    (path / "map.json").write_text(json.dumps(dict(zip(names, names[3:] + names[:3]))))
    return replace(run, class_map=path / "map.json")


def hardly_weighed(run: Run, path: Path) -> Run:
    kinds = {"logits": logits, "features": features, "prior": prior}
    return weighing(run, **{name: kind.Config(weight=1e-4) for name, kind in kinds.items()})


def summed(run: Run, path: Path) -> Run:
    return weighing(run, logits=logits.Config(weight=1.0, normalise="sum"))


def thousandfold(run: Run, path: Path) -> Run:
    return weighing(run, features=features.Config(weight=1000.0))


def rate_of_zero(run: Run, path: Path) -> Run:
    return replace(run, optim=replace(run.optim, lr=0.0))


def parts_frozen(run: Run, path: Path) -> Run:
    """All of the student, not what the losses learn."""
    return replace(run, optim=replace(run.optim, slow=("student",), slow_lr=0.0, backbone_lr=0.0))


@pytest.mark.parametrize(
    "spoil, disease, evidence, setting",
    [
        (untrained, "untrained", "the teacher's AP is 0.0", "--teacher RUN"),
        (rows_permuted, "swapped", "'ring' 'square'", '--class-map FILE.json with {"disc": "ring"'),
        pytest.param(map_permuted, "swapped", "'disc' 'star'", "correct --class-map", marks=pytest.mark.slow),
        (hardly_weighed, "idle", "at weight 0.0001 it is 0.0", "instead of 0.0001"),
        (summed, "dominating", "of the gradient in the decoder", "set --losses.logits.normalise pairs instead of sum"),
        pytest.param(
            *(thousandfold, "dominating", "of the gradient at the features", "instead of 1000"),
            marks=pytest.mark.slow,
        ),
        (rate_of_zero, "frozen", "over 16 steps the detection loss went from", "raise --optim.lr from 0;"),
        pytest.param(
            *(
                parts_frozen,
                "frozen",
                "over 16 steps the detection loss went",
                "raise --optim.slow-lr from 0: it applies",
            ),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_each_spoilt_run_has_its_disease_and_no_other(spoil, disease, evidence, setting, doctored, capsys):
    found = doctored(spoil)
    assert {x.disease for x in found.findings} == {disease}
    first = found.findings[0]
    assert found.verdict.lower().startswith(first.title) and first.evidence in found.verdict
    assert evidence in first.evidence and setting in first.setting and first.setting in found.verdict
    if spoil is rate_of_zero:  # once, as it is typed
        assert main(["doctor", found.run, "--limit", "2"]) == 1
        assert capsys.readouterr().out.splitlines()[-1] == found.verdict


def test_of_a_young_run_it_is_too_early_to_tell(doctored):
    found = doctored(lambda run, path: run)
    json.dumps(asdict(found), allow_nan=False)
    assert found.findings == ()
    assert re.match(r"Too early to tell: the student's AP is 0\.[0-2] after 16 steps", found.verdict)
    for place in ("share", "features", "decoder"):
        assert sum(getattr(p, place) for p in found.pulls) == pytest.approx(1)
    assert {p.loss: p.decoder for p in found.pulls}["features"] == 0
    assert sum(t.share for t in found.terms) == pytest.approx(1)


def test_the_shipped_run_is_sound(tmp_path, capsys):
    """Its record of old knows no gradients: shares of the loss stand in."""
    told = tmp_path / "told.json"
    assert main(["doctor", str(HEALTHY), "--limit", "6", "--json", str(told)]) == 0
    said, found = capsys.readouterr().out.splitlines(), json.loads(told.read_text())
    assert said[-1] == found["verdict"] and "the teacher has AP 68.3 and its student 52.8" in said[-1]
    assert found["findings"] == [] and [e["epoch"] for e in found["epochs"]] == [*range(1, 9)]
    steps = runs.steps(HEALTHY)
    last = [s["terms"]["prior/l1"] for s in steps[-len(steps) // 5 :]]
    assert {t["name"]: t["last"] for t in found["terms"]}["prior/l1"] == pytest.approx(np.mean(last))
    assert [len(x) for x in found["agreement"].values()] == [3, 3, 3] and found["agreement"]["class"][2] > 0.5


def test_a_run_alone_has_no_teacher_to_blame(doctored):
    found = doctored(lambda run, path: replace(run, losses=Losses(), teacher=None))
    assert found.verdict.startswith("Too early to tell") and not found.findings and found.naming is None


@pytest.mark.parametrize(
    "words", [["assets/nix"], [str(TEACHER)], [str(HEALTHY), "--limit", "0"], [str(HEALTHY), "-x"]]
)
def test_mistakes_are_one_sentence(words, capsys):
    assert main(["doctor", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


# ---- thresholds, on made-up records

LOSSES = {"detection": {"weight": 1.0}, "logits": {"weight": 1.0}, "prior": {"weight": 2.0}}
CARD = {"losses": LOSSES, "optim": {"lr": 1e-3}}


def records(last: dict, *, first: dict | None = None, looks: dict | None = None, teacher=0.7) -> History:
    """20 steps along a line from the first terms to the last, of weight 1."""
    first = first or {name: 3 * x for name, x in last.items()}
    mixed = [{name: (first[name] * (19 - k) + last[name] * k) / 19 for name in last} for k in range(20)]
    steps = [{"lr": 1e-3, "terms": terms, "weighted": terms} for terms in mixed]
    seen = [{"gradients": {k: {"features": x, "decoder": x} for k, x in looks.items()}}] if looks else []
    return History(steps, seen, (Epoch(1, 0.4),), teacher)


def named(**called) -> ReplayStatistics:
    right = sum(by.get(true, 0) for true, by in called.items())
    found = sum(sum(by.values()) for by in called.values())
    return ReplayStatistics(9, TeacherLabels(found + 5, found, right, called), {"class": [0.5]})


SOUND = named(disc={"disc": 9}, ring={"ring": 8, "disc": 1})
EVEN = {"detection/l1": 1.0, "logits/l1": 1.0, "prior/l1": 1.0}


def ills(told: History, found: ReplayStatistics | None = SOUND, card: dict = CARD) -> list[str]:
    return [x.disease for x in findings(told, found, card)]


def test_a_cause_comes_before_what_it_brings_about():
    still = records(EVEN, first=EVEN, looks={"detection": 1.0, "logits": 999.0, "prior": 1.0}, teacher=0.01)
    assert ills(still) == ["frozen", "untrained", "dominating"]
    swapped = named(disc={"ring": 9}, ring={"disc": 8})
    assert ills(still, swapped) == ["frozen", "swapped", "dominating"]


@pytest.mark.parametrize("share, expected", [(0.95, ["dominating"]), (0.85, []), (0.02, []), (0.001, ["idle"])])
def test_gradients_count_where_they_were_looked_at(share, expected):
    looks = {"detection": (1 - share) / 2, "logits": share, "prior": (1 - share) / 2}
    assert ills(records(EVEN, looks=looks)) == expected
    assert ills(records(EVEN | {"logits/l1": 1e6}, looks=looks)) == expected


def test_the_weight_that_is_advised_makes_the_loss_one_of_equals():
    told = records(EVEN, looks={"detection": 1.0, "logits": 1.0, "prior": 0.004})
    (found,) = findings(told, SOUND, CARD)
    assert found.setting == "set --losses.prior.weight 500 instead of 2" and "the loss prior" in found.title


def test_a_term_that_is_used_up_is_named():
    first = {name: 3.0 for name in EVEN} | {"logits/giou": 9.0}
    told = records(EVEN | {"logits/giou": 1e-9}, first=first)
    assert ills(told) == []  # on its way down
    told = records(EVEN | {"logits/giou": 1e-9}, first=first)
    told.steps[-4:] = [told.steps[-1]] * 4
    (found,) = findings(told, SOUND, CARD)
    assert found.disease == "shrunk" and "logits/giou" in found.title and "from 8.29 to 1e-09" in found.evidence


def test_a_teacher_without_a_loss_that_asks_it():
    assert ills(records({"detection/l1": 1.0})) == ["idle"]
    assert ills(records({"detection/l1": 1.0}), None) == []


@pytest.mark.parametrize(("first", "last", "expected"), [(3.0, 1.0, []), (0.0, 0.0, ["frozen"])])
def test_a_loss_that_is_alone_neither_dominates_nor_is_idle(first, last, expected):
    assert ills(records({"logits/l1": last}, first={"logits/l1": first})) == expected


@pytest.mark.parametrize(("loss", "expected"), [("fitnet", []), ("kd_detr", ["frozen"]), ("fixed", ["frozen"])])
def test_without_detection_a_loss_without_weights_of_its_own_shows_whether_the_student_learns(loss, expected):
    still = {f"{loss}/map": 2.0}
    reported = findings(records(still, first=still), None, CARD)
    assert [x.disease for x in reported] == expected
    assert all(f"the {loss} loss went from 2 to 2" in x.evidence for x in reported)


def test_confusion_is_no_swap():
    """Nor is calling everything by one name."""
    called = {"disc": {"disc": 8}, "hexagon": {"disc": 9, "hexagon": 2}, "star": {"disc": 3, "star": 3}}
    assert swapped_names(TeacherLabels(30, 25, 13, called)) == {}
    assert swapped_names(TeacherLabels(30, 25, 0, {name: {"disc": 8} for name in called})) == {}


def test_two_of_many_classes_swapped():
    called = {"a": {"b": 5, "a": 1}, "b": {"a": 4}, "c": {"c": 7}, "d": {"c": 2}}
    assert swapped_names(TeacherLabels(20, 19, 8, called)) == {"a": "b", "b": "a"}


def test_a_class_map_that_is_advised_is_json_whatever_the_names():
    names = ('a "b"\x7f', "c\\\u202e")
    swapped = named(**{names[0]: {names[1]: 9}, names[1]: {names[0]: 8}})
    (finding,) = (x for x in findings(records(EVEN), swapped, CARD) if x.disease == "swapped")
    assert json.loads(finding.setting.partition("FILE.json with ")[2]) == {names[0]: names[1], names[1]: names[0]}


def test_a_trend_is_told_from_chance():
    """Of 300 courses without a trend, 3 of 1,000 may seem to have one; a fall of a tenth amid noise is seen."""
    draw = np.random.default_rng(0)
    flat = [has_trend(10 + draw.normal(size=16)) for _ in range(300)]
    assert sum(flat) <= 3
    assert all(has_trend(10 - np.linspace(0, 1, 400) + 0.5 * draw.normal(size=400)) for _ in range(20))
    assert all(has_trend(10 + np.linspace(0, 5, 40) + 0.5 * draw.normal(size=40)) for _ in range(20))
    assert not has_trend(10 - np.linspace(0, 0.01, 400))
