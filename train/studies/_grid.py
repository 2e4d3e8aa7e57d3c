"""Several runs of a study: each a process of its own; what is trained once is a row of every study that asks for it."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import monotonic, sleep

from core.errors import UserError
from core.files import read_json, write_json
from core.project import command
from core.runs.checkpoint import sha256_of, weights_file
from core.runs.config import decode, encode
from core.runs.results import result, scores
from train.job.build import located
from train.run import Run

RUNS = Path("runs")
SAY_EVERY = 15.0  # seconds between two looks at the rows
NO_MATTER = {
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
}  # of a number

FIRST_MODULES = {"core.matching.costs": "core.matching"}  # where classes in digests were first defined

Rows = dict[str, dict]


def run_rows(
    rows: dict[str, Run], *, at_once: int, folder: Path | None = None, each: Callable = lambda rows: None
) -> Rows:
    """What `core.runs.results.result` says of each row, `at_once` of them trained side by side with a core each.

    A row is trained in `folder`/ROW; without a folder in its `place`, where any study finds it again. One that was
    stopped goes on; a folder that holds another run is refused with UserError. `each` gets the rows that are finished
    whenever there is one more.
    """
    places = {name: folder / name if folder else place(run) for name, run in rows.items()}
    waiting = [name for name, run in rows.items() if not finished(places[name], run)]
    done = {name: result(places[name]) for name in rows if name not in waiting}
    active: dict[str, subprocess.Popen] = {}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill ends the rows too, each saved
    try:
        while waiting or active:
            while waiting and len(active) < at_once:
                name = waiting.pop(0)
                active[name] = start(places[name], rows[name])
            watch({name: places[name] for name in active}, active)
            for name in [n for n, child in active.items() if child.poll() is not None]:
                refuse_failure(places[name], active.pop(name).returncode)
                done[name] = result(places[name])
                each({n: done[n] for n in rows if n in done})
    finally:
        for child in active.values():
            child.terminate()
            child.wait()
    return {name: done[name] for name in rows}


def kept(path: Path, **about) -> Callable[[Rows], None]:
    """Writes the rows beside what the study is about, whenever there are more of them."""
    return lambda rows: write_json(path, about | {"rows": rows})


def place(run: Run) -> Path:
    """A folder that is the same for all runs that end in the same numbers, whatever they are called."""
    files = {"teacher": run.teacher and weights_file(located(run.teacher)), "init": run.init and located(run.init)}
    digests = {name: sha256_of(path) if path and path.is_file() else str(path) for name, path in files.items()}
    told = {key: value for key, value in unusual(run).items() if key not in NO_MATTER} | digests
    return RUNS / "rows" / sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def unusual(value):
    """The fields of a dataclass that differ from its defaults, so that a field added later changes no digest."""
    if not is_dataclass(value):
        return encode(value)
    found = {f.name: unusual(getattr(value, f.name)) for f in fields(value) if getattr(value, f.name) != usual(f)}
    return found | {"": class_name(type(value))}


def class_name(kind: type) -> str:
    """The full name of a class in a digest: that of the first version, wherever the class has moved since.

    With another name no row that is trained already would be found, and all would be trained again.
    """
    return f"{FIRST_MODULES.get(kind.__module__, kind.__module__)}.{kind.__qualname__}"


def usual(field: Field):
    """Its default; MISSING, which equals nothing, where it has none."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def start(path: Path, run: Run) -> subprocess.Popen:
    path.parent.mkdir(parents=True, exist_ok=True)
    if (path / "card.json").exists():
        words = ["resume", str(path)]
    else:
        card = path.with_name(f"{path.name}.card.json")
        write_json(card, {"run": encode(replace(run, name=str(path.relative_to(RUNS)), threads=1))})
        words = ["fit", "--card", str(card)]
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    with open(log_of(path), "ab") as log:
        return subprocess.Popen(command("train", *words), stdout=log, stderr=log, env=os.environ | threads)


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.log")


def watch(places: dict[str, Path], active: dict[str, subprocess.Popen]) -> None:
    """Wait until a row ends or it is time to say how far each is."""
    until = monotonic() + SAY_EVERY
    while monotonic() < until:
        if any(child.poll() is not None for child in active.values()):
            return
        sleep(0.2)
    for name in active:
        print(f"{name:>24}  {last_line(log_of(places[name]))}", flush=True)


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
