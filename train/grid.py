"""Several runs of a study: each a process of its own, a row finished earlier is not trained again."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

from core.config import decode, encode
from core.errors import UserError
from core.files import read_json, write_json
from train.run import Run

RUNS = Path("runs")
SAY_EVERY = 15.0  # seconds between two looks at the rows
SCORES = ("ap", "ap50", "ap75")


def run_rows(study: str, rows: dict[str, Run], *, at_once: int) -> dict[str, dict]:
    """What `result` says of each row, trained in runs/STUDY/ROW, `at_once` of them side by side with a core each.

    A row that was stopped goes on; one whose folder holds another card is refused with UserError.
    """
    folder, rows = RUNS / study, {name: named(run, study, name) for name, run in rows.items()}
    waiting = [name for name, run in rows.items() if not finished(folder / name, run)]
    active: dict[str, subprocess.Popen] = {}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill ends the rows too, each saved
    try:
        while waiting or active:
            while waiting and len(active) < at_once:
                name = waiting.pop(0)
                active[name] = start(folder / name, rows[name])
            watch(folder, active)
            for name in [n for n, child in active.items() if child.poll() is not None]:
                refuse_failure(folder / name, active.pop(name).returncode)
    finally:
        for child in active.values():
            child.terminate()
            child.wait()
    return {name: result(folder / name) for name in rows}


def named(run: Run, study: str, row: str) -> Run:
    return replace(run, name=f"{study}/{row}", threads=1)


def start(path: Path, run: Run) -> subprocess.Popen:
    path.parent.mkdir(parents=True, exist_ok=True)
    if (path / "card.json").exists():
        words = ["resume", str(path)]
    else:
        card = path.with_name(f"{path.name}.card.json")
        write_json(card, {"run": encode(run)})
        words = ["fit", "--card", str(card)]
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    with open(log_of(path), "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "train", *words], stdout=log, stderr=log, env=os.environ | threads
        )


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.log")


def watch(folder: Path, active: dict[str, subprocess.Popen]) -> None:
    """Wait until a row ends or it is time to say how far each is."""
    until = monotonic() + SAY_EVERY
    while monotonic() < until:
        if any(child.poll() is not None for child in active.values()):
            return
        sleep(0.2)
    for name in active:
        print(f"{name:>12}  {last_line(log_of(folder / name))}", flush=True)


def last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def refuse_failure(path: Path, code: int) -> None:
    if code:
        raise UserError(f"{path} ended with code {code}: {last_line(log_of(path))} (the rest is in {log_of(path)})")


def finished(path: Path, run: Run) -> bool:
    if not (path / "card.json").exists():
        return False
    told = decode(Run, read_json(path / "card.json")["run"], f"{path / 'card.json'}: run")
    run = replace(run, student=replace(run.student, classes=told.student.classes))  # the data says how many
    differ = [key for key in ("student", "losses", "optim", "data", "seed") if getattr(told, key) != getattr(run, key)]
    if differ:
        raise UserError(f"{path} holds a run with another {differ[0]}; move that folder away to train this row")
    return any(score["epoch"] == run.optim.epochs for score in scores(path))


def scores(path: Path) -> list[dict]:
    """The student's evaluations, epoch by epoch."""
    return [line for line in lines(path / "metrics.jsonl") if line.get("eval") == "student"]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def result(path: Path) -> dict:
    """Scores after the last epoch, AP by epoch, steps, training seconds as they were, seed and teacher of a finished run."""
    told, found = read_json(path / "card.json"), scores(path)
    timing = [line["seconds"] for line in lines(path / "timing.jsonl") if "eval" not in line]
    return {
        **{key: found[-1][key] for key in SCORES},
        "ap_by_epoch": [s["ap"] for s in found],
        "epochs": found[-1]["epoch"],
        "steps": len(timing),
        "seconds": sum(timing),
        "seed": told["run"]["seed"],
        "commit": told["commit"],
        "teacher": told["teacher"] and told["teacher"]["scores"]["ap"],
    }
