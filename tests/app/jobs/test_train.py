"""View 6 without a browser: what a log says, and a training that is started, watched and stopped."""

import json
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.bench._random_runs import random_run
from app.arguments import checked
from app.jobs import train, training_log
from app.jobs.training_log import Log, report
from app.worker.library import RUNS
from core.errors import UserError
from core.files import write_json
from tests.helpers import opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return random_run(tmp_path_factory.mktemp("taught"), queries=12, layers=3, size=64, images=2)


def step(k: int, epoch: int) -> str:
    weighted = {"detection/class": 2.0 * k, "detection/l1": 1.0, "logits/positive_l1": 0.5}
    return json.dumps({"step": k, "epoch": epoch, "total": 10.0 / k, "weighted": weighted}) + "\n"


def evaluated(who: str, epoch: int, ap: float | None) -> str:
    return json.dumps({"eval": who, "step": epoch * 5, "epoch": epoch, "ap": ap}) + "\n"


@pytest.fixture
def run(tmp_path) -> Path:
    data = {"kind": "shapes", "train_limit": 17}
    write_json(tmp_path / "card.json", {"run": {"optim": {"epochs": 2, "batch": 4}, "data": data}})
    return tmp_path


def test_a_log_is_read_on_from_where_it_was_left(run):
    log, file = Log(run / "metrics.jsonl"), run / "metrics.jsonl"
    assert report(run, log)["step"] == 0
    file.write_text(evaluated("teacher", 0, 0.7) + step(1, 1) + step(2, 1)[:20])
    found = report(run, log)
    assert (found["step"], found["steps"], found["state"]) == (1, 2 * 5, "running")
    assert found["curve"] == [{"step": 1, "total": 10.0, "detection": 3.0, "logits": 0.5}]
    with open(file, "a") as more:
        more.write(step(2, 1)[20:] + evaluated("student", 1, None) + "nonsense\n")
        more.write(json.dumps({"instability": "student", "step": 5, "epoch": 1, "mean": 3.5}) + "\n")
    found = report(run, log)
    assert [p["step"] for p in found["curve"]] == [1, 2] and found["losses"] == ["detection", "logits"]
    assert found["ap"] == {"teacher": [(0, 0.7)], "student": [(1, None)]} and found["instability"] == {
        "student": [(1, 3.5)]
    }
    with open(file, "a") as more:
        more.write(evaluated("student", 2, 0.3))
    assert report(run, log)["state"] == "finished"
    file.write_text(step(1, 1))  # a resumed run cuts its log back
    assert report(run, log)["ap"] == {} and [p["step"] for p in log.steps] == [1]


def test_a_long_curve_has_few_points_of_all_of_it(run, monkeypatch):
    monkeypatch.setattr(training_log, "POINTS", 40)
    (run / "metrics.jsonl").write_text("".join(step(k, 1) for k in range(1, 1001)))
    log = Log(run / "metrics.jsonl")
    steps = [p["step"] for p in report(run, log)["curve"]]
    gaps = {b - a for a, b in zip(steps, steps[1:])}
    assert 20 <= len(steps) <= 41 and steps[0] == 1 and steps[-1] > 950 and len(gaps) == 1


def test_what_is_no_run_is_told(run, folder):
    (run / "card.json").write_text("[]")
    with pytest.raises(UserError, match="not the card of a run"):
        report(run, Log(run / "metrics.jsonl"))
    handlers = opened.handlers(folder)
    for name in ("", "nowhere", "../..", "/etc"):
        with pytest.raises(UserError, match="no run"):
            handlers.watch(name)


def until(condition, seconds: float = 240.0):
    """The first true value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.3)
    raise AssertionError("it took too long")


def test_a_training_is_started_watched_stopped_and_looked_at(tmp_path, monkeypatch, folder):
    """Several long epochs, stopped in the first: it saves, and says how to go on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    handlers = opened.handlers(folder)
    known = handlers.recipes()
    assert {"shapes", "shapes_distill"} <= {r["id"] for r in known["recipes"]} and known["run"] == ""
    for given in (("coco", 1, 8), ("shapes; rm -rf /", 1, 8), ("shapes", 0, 8), ("shapes", 1, 10**6), ("--help", 1, 8)):
        with pytest.raises(UserError):
            handlers.train(*given)
    with pytest.raises(UserError):
        checked(handlers.train)("shapes", "1", 8)
    try:
        run = handlers.train("shapes", 60, 400)["run"]
        assert run == f"{RUNS}/page-1"
        with pytest.raises(UserError, match="is being trained"):
            handlers.train("shapes", 1, 8)
        assert handlers.watch(run)["here"]["going"]
        until(lambda: handlers.watch(run).get("step", 0) >= 1)
        seen = handlers.watch(run)
        assert seen["steps"] == 60 * 50 and seen["curve"][0]["detection"] > 0 and seen["state"] == "running"
        handlers.stop()
        until(lambda: not handlers.recipes()["going"])
        assert handlers.recipes()["code"] == 143 and "resume" in handlers.recipes()["said"][-1]
        assert (tmp_path / run / "last" / "state.safetensors").exists()
    finally:
        handlers.training.close()


def test_a_run_that_ends_at_once_is_told(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    handlers = opened.handlers(folder)
    monkeypatch.setattr(handlers.training, "recipes", lambda: [{"id": "none", "title": "none", "says": ""}])
    run = handlers.train("none", 1, 8)["run"]
    until(lambda: not handlers.recipes()["going"])
    told = handlers.watch(run)
    assert told["state"] == "starting" and told["here"]["code"] == 2 and "no recipe" in told["here"]["said"][-1]


def test_few_logs_are_followed_at_once(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "LOGS", 2)
    handlers = opened.handlers(folder)
    for k in range(4):
        card = {"run": {"optim": {"epochs": 2, "batch": 4}, "data": {"kind": "coco", "train_limit": None}}}
        write_json(tmp_path / "runs" / f"r{k}" / "card.json", card)
    handlers.library.listed = (-1e9, {})
    assert [handlers.watch(f"runs/r{k}")["steps"] for k in range(4)] == [None] * 4
    assert len(handlers.training.logs) == 2


# Epochs ---------------------------------------------------------------------------------------------------------------


def test_ribbons_over_epochs_are_what_the_run_recorded(folder):
    handlers = opened.handlers(folder)
    assert handlers.epochs("image/1")["bands"] == []
    objects = len(handlers.samples("").run.data[0].labels)
    rows = [
        {"who": who, "epoch": e, "place": p, "image": p + 1, "layer": k, "query": (3 * t + e + k) % 12, "object": t}
        | {"cost": t - e / 4, "margin": 0.1 * e + t, "runner_up": 11 if t else -1}
        for who in ("student", "teacher")
        for e in (1, 2, 4)
        for p in range(2)
        for k in range(3)
        for t in range(objects if p == 0 else 1)
    ]
    path = folder / "assignments.parquet"
    pq.write_table(pa.Table.from_pylist(rows[::-1]), path)
    try:
        for layer in (-1, 0):
            found = handlers.epochs("image/1", layer=layer)
            (band,) = found["bands"]
            assert band["epochs"] == [1, 2, 4] and band["side"] == "student" and found["layer"] == layer % 3
            for t, row in enumerate(band["cells"]):
                for e, seen in zip((1, 2, 4), row):
                    assert seen["query"] == (3 * t + e + layer % 3) % 12 and seen["runner_up"] == (11 if t else -1)
                    assert (seen["cost"], seen["margin"]) == pytest.approx((t - e / 4, 0.1 * e + t))
        path.write_bytes(b"PAR1 no more")
        with pytest.raises(UserError, match="cannot be read"):
            handlers.epochs("image/1")
    finally:
        path.unlink()
