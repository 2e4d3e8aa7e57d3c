"""Cards and flags that nobody means well with: each is refused in one sentence, and no folder is left."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import losses
from core.errors import UserError
from core.project import ASSETS
from core.runs.config import decode, encode
from tests.helpers import hostile, runs, tiny
from tests.helpers.hostile import RUN_NAMES
from train.cli.main import main
from train.engine import loop
from train.job.build import build
from train.run import Losses, Run
from train.run_folder import folder

FEW = replace(runs.DATA, train_limit=3, val_limit=2)


@cache
def good_cards() -> list[dict]:
    """A card of each detector, and one with a teacher and every loss that fits it."""
    alone = [
        runs.small(student=tiny.config(name, classes=8), data=FEW) for name in ("adamixer", "conditional", "deformable")
    ]
    every = Losses(**{n: losses.module(n).Config(weight=1.0) for n in losses.names() if n != "prior"})
    taught = replace(alone[0], losses=every, teacher=ASSETS / "teacher_shapes.safetensors")
    return [encode(run) for run in (*alone, taught)]


def drawn_cards(number: int, seed: int):
    """A test of drawn cards: each is refused in one line, or makes a job whose first step can be computed."""

    @hypothesis.seed(seed)
    @settings(max_examples=number, suppress_health_check=list(HealthCheck))
    @given(card=st.sampled_from(good_cards()).flatmap(hostile.cards))
    def check(card):
        try:
            run = decode(Run, card, "card.json: run")
            job = build(replace(run, workers=0, threads=1))
            images, targets = next(iter(job.loader.epoch(0)))
            job.distiller(images, targets).total.backward()
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000

    return check


def test_drawn_cards_are_refused_or_trained():
    drawn_cards(40, seed=0)()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_300_drawn_cards_are_refused_or_trained(seed):
    drawn_cards(300, seed)()


@pytest.mark.parametrize(
    "words, name",
    [
        (["--checkpoint-every", "0"], "checkpoint_every"),
        (["--eval-every", "0"], "eval_every"),
        (["--optim.lr", "nan"], "optim.lr"),
        (["--optim.epochs", "0"], "optim.epochs"),
        (["--seed", "-1"], "seed"),
        (["--threads", "-5"], "threads"),
        (["--student.width", "1000000000"], "student.width"),
        (["--data.size", "10000000"], "data.size"),
        (["--data.size", "16384"], "lower --data.size"),
        (["--optim.ema", "1"], "optim.ema"),
        (["--optim.tail", "inf"], "optim.tail"),
        (["--losses.detection.weight", "-1"], "losses.detection.weight"),
        (["--student.matching.alpha", "nan"], "student.matching.alpha"),
        (["--student.backbone", "tiny99999x99", "--data.train-limit", "3", "--data.val-limit", "2"], "backbone"),
        (["--keep", "0"], "error: --keep is 0; it must be"),
        (["--seed", "abc"], "--seed: 'abc' is no whole number;"),
        (["--optim.lr", "abc"], "--optim.lr: 'abc' is no number;"),
        (["--on-nan", "x"], "'--on-nan'. Expected one of ('stop', 'skip');"),
        (["--seed"], "Missing value for argument '--seed'"),
        (["stray"], "Unrecognized options: stray;"),
    ],
)
def test_flags_outside_their_limits_leave_nothing(words, name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert code("fit", "shapes", *words) == 2
    said = capsys.readouterr().err
    assert name in said and not list(tmp_path.iterdir())
    assert said.startswith("error: ") and said.count("\n") == 1, "one sentence, and no box"


@pytest.mark.parametrize(
    "path, value",
    [
        ("checkpoint_every", 0),
        ("seed", -1),
        ("optim.lr", float("nan")),
        ("data.size", 10**7),
        ("data.augment.jitter", -1.0),
        ("losses.detection.weight", float("inf")),
    ],
)
def test_a_card_outside_the_limits_is_refused(path, value):
    """A run checks itself: no flag has looked at the values of a card."""
    with pytest.raises(UserError, match=path.rpartition(".")[2]):
        decode(Run, hostile.changed(good_cards()[0], tuple(path.split(".")), value), "card")


@pytest.mark.parametrize("name", RUN_NAMES)
def test_names_stay_within_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.json").write_text(json.dumps({"run": good_cards()[0] | {"name": name}}))
    assert code("fit", "--card", "card.json") == 2
    assert code("fit", "shapes", f"--name={name}") == 2
    printed = capsys.readouterr().err
    assert "name is" in printed and "\x1b" not in printed
    assert [p.name for p in tmp_path.iterdir()] == ["card.json"]


def test_out_is_the_way_elsewhere_and_a_name_may_have_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    card = good_cards()[0] | {"name": "study/row 1"}
    card["optim"] = card["optim"] | {"epochs": 1}
    (tmp_path / "card.json").write_text(json.dumps({"run": card}))
    assert code("fit", "--card", "card.json", "--out", "else/where") == 0
    assert (tmp_path / "else/where/student.safetensors").exists() and not (tmp_path / "runs").exists()
    assert code("fit", "--card", "card.json") == 0
    assert (tmp_path / "runs/study/row 1/student.safetensors").exists()


@pytest.mark.parametrize("name", ["store", "cache"])
def test_a_card_says_not_where_the_teachers_outputs_are_written(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.json").write_text(
        json.dumps({"run": good_cards()[3] | {f"teacher_{name}": str(tmp_path / "there")}})
    )
    assert code("fit", "--card", "card.json") == 2
    assert f"--teacher-{name} FOLDER" in capsys.readouterr().err and not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    "entry",
    [
        {"teacher": 5},
        {"teacher": {"path": 1}},
        {"class_map": [1]},
        {"init": True},
        {"run": 7},
        {"run": {}},
    ],
)
def test_a_card_edited_by_hand_is_refused_when_its_run_is_resumed(entry, tmp_path, capsys):
    path = tmp_path / "run"
    path.mkdir()
    card = {"run": good_cards()[0], "teacher": None, "init": None, "class_map": None} | entry
    (path / "card.json").write_text(json.dumps(card))
    before = sorted(tmp_path.rglob("*"))
    assert code("resume", str(path)) == 2
    assert "card.json" in capsys.readouterr().err and sorted(tmp_path.rglob("*")) == before


def test_a_teacher_without_scores_is_refused_at_a_resume(tmp_path):
    short = {"data": FEW, "optim": replace(runs.OPTIM, epochs=1)}
    teacher = loop.fit(runs.small(**short), tmp_path / "teacher")
    path = loop.fit(runs.small(teacher=teacher, losses=runs.small().losses, **short), tmp_path / "run")
    card = json.loads((path / "card.json").read_text())
    folder.load_run(path)
    for scores in (5, {}, card["teacher"]["scores"] | {"ap": "x"}):
        card["teacher"]["scores"] = scores
        (path / "card.json").write_text(json.dumps(card))
        with pytest.raises(UserError, match="scores|ap"):
            folder.load_run(path)


def code(*words: str) -> int:
    """The exit code of the trainer's command line, in this process."""
    try:
        return main(list(words))
    except SystemExit as end:
        return int(end.code or 0)


def test_paths_of_cards_are_those_of_this_machine(tmp_path):
    """Guards the helper above: an absent file is a mistake of the user, too."""
    with pytest.raises(UserError, match="no such file"):
        build(replace(decode(Run, good_cards()[0], "card"), teacher=Path(tmp_path / "none")))
