"""Trains the runs of a study, each in a process of its own. A run that several studies share is trained once."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from core.errors import UserError
from core.files import read_json, write_json
from core.project import command
from core.runs.checkpoint import sha256_of, weights_file
from core.runs.config import decode, encode
from core.runs.results import result, scores
from train.job.build import resolve_path
from train.run import Run

RUNS = Path("runs")
PROGRESS_EVERY = 15.0  # seconds between progress lines
IGNORED_FIELDS = {  # fields of a Run that do not change its result; teacher and init enter by the digests of their files
    "name",
    "workers",
    "threads",
    "device",
    "tensorboard",
    "trackio",
    "checkpoint_every",
    "keep",
    "gradients_every",
    "recorded",
    "teacher",
    "init",
}
# Fields of a Run in which it must agree with a trained one, whose result is then its own.
DECISIVE = ("student", "losses", "distil", "optim", "data", "seed")
FIRST_MODULES = {"core.matching.costs": "core.matching"}  # where the classes in digests were first defined

Rows = dict[str, dict]  # results by the name of the row


def run_rows(
    rows: dict[str, Run],
    *,
    at_once: int,
    folder: Path | None = None,
    on_row: Callable[[Rows], None] = lambda rows: None,
) -> Rows:
    """Trains the rows that are not finished, `at_once` side by side on a core each; returns the results of all rows.

    A result is that of `core.runs.results.result`. A row is trained in `folder`/ROW, or without a folder in `row_folder`,
    where every study finds it. A row that was stopped goes on. `on_row` gets all finished rows whenever one more finishes.
    UserError: a folder holds another run, a row failed, or none may be trained at once.
    """
    if at_once < 1:
        raise UserError(f"--at-once is {at_once}; it must be a whole number from 1")
    folders = {name: folder / name if folder else row_folder(run) for name, run in rows.items()}
    waiting = [name for name, run in rows.items() if not is_finished(folders[name], run)]
    done = {name: result(folders[name]) for name in rows if name not in waiting}
    active: dict[str, subprocess.Popen] = {}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that SIGTERM also stops the rows, which then save
    try:
        while waiting or active:
            while waiting and len(active) < at_once:
                name = waiting.pop(0)
                active[name] = start(folders[name], rows[name])
            wait({name: folders[name] for name in active}, active)
            for name in [n for n, child in active.items() if child.poll() is not None]:
                refuse_failure(folders[name], active.pop(name).returncode)
                done[name] = result(folders[name])
                on_row({n: done[n] for n in rows if n in done})
    finally:
        for child in active.values():
            child.terminate()
            child.wait()
    return {name: done[name] for name in rows}


def result_writer(path: Path, **about: Any) -> Callable[[Rows], None]:
    """A function that writes rows to a JSON file, after the entries `about`."""
    return lambda rows: write_json(path, about | {"rows": rows})


def row_folder(run: Run) -> Path:
    """The folder of a run, named by a digest of everything that changes its result: runs with equal results share it."""
    files = {
        "teacher": run.teacher and weights_file(resolve_path(run.teacher)),
        "init": run.init and resolve_path(run.init),
    }
    digests = {name: sha256_of(path) if path and path.is_file() else str(path) for name, path in files.items()}
    entries = {key: value for key, value in changed_fields(run).items() if key not in IGNORED_FIELDS} | digests
    return RUNS / "rows" / sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()[:16]


def changed_fields(value: Any) -> Any:
    """The fields of a dataclass that differ from their defaults, and its class under ""; other values as JSON data.

    Defaults are left out so that a field that a later version adds changes no digest.
    """
    if not is_dataclass(value) or isinstance(value, type):
        return encode(value)
    values = {f.name: getattr(value, f.name) for f in fields(value)}
    changed = {f.name: changed_fields(values[f.name]) for f in fields(value) if values[f.name] != default_of(f)}
    return changed | {"": class_name(type(value))}


def class_name(kind: type) -> str:
    """The full name of a class in digests: the name in the first version, wherever the class has moved since.

    With another name no finished row would be found, and all would be trained again.
    """
    return f"{FIRST_MODULES.get(kind.__module__, kind.__module__)}.{kind.__qualname__}"


def default_of(field: Field) -> Any:
    """The default of a field; MISSING, which equals nothing, if it has none."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def start(path: Path, run: Run) -> subprocess.Popen:
    """Starts or resumes the training of a row on one thread; its output is appended to the log file beside its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if (path / "card.json").exists():
        words = ["resume", str(path)]
    else:
        card = path.with_name(f"{path.name}.card.json")
        write_json(card, {"run": encode(replace(run, name=str(path.relative_to(RUNS)), threads=1))})
        words = ["fit", "--card", str(card)]
        if run.teacher_store:  # a card alone may not name a folder to write to
            words += ["--teacher-store", str(run.teacher_store)]
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    with open(log_file(path), "ab") as log:
        return subprocess.Popen(command("train", *words), stdout=log, stderr=log, env=os.environ | threads)


def log_file(path: Path) -> Path:
    """The log file of a row, beside its folder."""
    return path.with_name(f"{path.name}.log")


def wait(folders: dict[str, Path], active: dict[str, subprocess.Popen]) -> None:
    """Waits until a row ends, or for PROGRESS_EVERY seconds; then prints the progress of each row."""
    until = monotonic() + PROGRESS_EVERY
    while monotonic() < until:
        if any(child.poll() is not None for child in active.values()):
            return
        sleep(0.2)
    for name in active:
        print(f"{name:>24}  {last_line(log_file(folders[name]))}", flush=True)


def last_line(path: Path) -> str:
    """The last line of a text file that is not blank; empty if there is none."""
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def refuse_failure(path: Path, code: int) -> None:
    """UserError: the training of a row ended with another exit code than 0."""
    if code:
        raise UserError(f"{path} ended with code {code}: {last_line(log_file(path))} (the rest is in {log_file(path)})")


def is_finished(path: Path, run: Run) -> bool:
    """Returns whether the folder holds this run, evaluated after its last epoch. UserError: it holds another run."""
    if not (path / "card.json").exists():
        return False
    held = decode(Run, read_json(path / "card.json")["run"], f"{path / 'card.json'}: run")
    differ = differing(held, run)
    if differ:
        raise UserError(f"{path} holds a run with another {differ[0]}; move that folder away to train this row")
    return any(score["epoch"] == run.optim.epochs for score in scores(path))


def differing(held: Run, run: Run) -> list[str]:
    """The fields that decide a result, teacher and first weights apart, in which a run differs from the one that was trained."""
    run = replace(run, student=replace(run.student, classes=held.student.classes))  # their number comes from the data
    return [key for key in DECISIVE if getattr(held, key) != getattr(run, key)]


def untrained(runs: dict[str, Run], rows: Rows) -> dict[str, Run]:
    """The runs that have no row of the same name and settings, on whatever machine the row was trained.

    Teachers and first weights are not compared: where a study trains them, their bits differ from machine to machine.
    """

    def is_row_of(run: Run, name: str) -> bool:
        return name in rows and not differing(decode(Run, rows[name]["run"], name), run)

    return {name: run for name, run in runs.items() if not is_row_of(run, name)}
