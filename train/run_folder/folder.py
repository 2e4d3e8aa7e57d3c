"""A run's folder: its card, and the weights that it leaves."""

import contextlib
import fcntl
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from core.data.category import Category
from core.distiller import Distiller
from core.errors import UserError
from core.files import read_json, write_json
from core.project import ROOT
from core.runs.checkpoint import save_detector, save_module, sha256_of, weights_file
from core.runs.config import decode, encode
from train.distributed.parallel import gathered, launch
from train.job.build import Job, located
from train.run import Run
from train.run_folder import assignments, state


def begin(path: Path, job: Job, taught: dict | None, note: dict) -> None:
    """Makes the folder with the card of what was resolved; `taught` is what was found of the teacher.

    UserError: while this run got ready, another took the folder.
    """
    refuse_taken(path)
    run, teacher = job.run, None
    if taught:
        columns = taught.pop("columns")
        if taught["instability"]:
            assignments.append(path, "teacher", 0, columns)
        teacher = named(weights_file(located(run.teacher)), path) | taught | {"columns": job.columns}
    files = {"init": run.init if run.init != "imagenet" else None, "class_map": run.class_map}
    files = {key: file and named(located(file), path) for key, file in files.items()}
    note = note | ({"launch": launch()} if launch() else {})
    write_json(path / "card.json", {**note, **about(job), "run": encode(run), "teacher": teacher, **files})


def about(job: Job) -> dict:
    return made(job.loader.dataset.categories)


def made(categories: Iterable[Category]) -> dict:
    """What every card says: the classes, and what made them."""
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {"categories": [{"id": c.id, "name": c.name} for c in categories], "commit": commit(), "versions": versions}


def taken(path: Path) -> bool:
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


def refuse_taken(path: Path) -> None:
    if taken(path):
        raise UserError(f"{path} exists; go on with it by: python -m train resume {path}, or choose another --name")


def begun(run: Run, path: Path) -> Path | None:
    """The newest folder of that name, or of it with a number, that this launch began for this run."""
    cards = [c for c in path.parent.glob(f"{path.name}*/card.json") if read_json(c).get("launch") == launch()]
    for found in sorted(cards, key=lambda c: c.stat().st_mtime, reverse=True):
        told = decode(Run, read_json(found)["run"], f"{found}: run")
        if replace(told, student=replace(told.student, classes=run.student.classes)) == run:
            return found.parent
    return None


def named(file: Path, path: Path) -> dict:
    """A file by its way from the run's folder, which holds wherever both are moved and commands are typed."""
    return {"path": os.path.relpath(file, path), "sha256": sha256_of(file)}


def commit() -> str | None:
    """Of the program's checkout, with a mark when files differ from it."""
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@contextlib.contextmanager
def claimed(path: Path, first: bool) -> Iterator[None]:
    """While open, no other run trains in this folder; the system lets go of the claim however its first process ends.

    lockf, not flock: workers that outlive a killed process for a moment do not inherit it, so `resume` need not wait.
    """
    if not first:
        yield
        return
    with open(path / ".claim", "wb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{path} is being trained by another process; wait for it, or stop it first") from None
        yield


def card(path: Path) -> dict:
    """Of a run; UserError: it is none."""
    if not (path / "card.json").exists():
        raise UserError(f"{path} is not a run: it has no card.json")
    told = read_json(path / "card.json")
    if not isinstance(told, dict) or not {"run", "teacher", "init"} <= told.keys():
        raise UserError(f"{path}/card.json is not the card of a run; give a folder that `python -m train fit` made")
    return told


def reopen(path: Path) -> Run:
    """The Run of a folder; UserError: it is no run, or its teacher or first weights have changed since."""
    told = card(path)
    run = decode(Run, told["run"], f"{path}/card.json: run")
    if told["teacher"]:
        run = replace(run, teacher=unchanged(path, told["teacher"]))
    if told["init"]:
        run = replace(run, init=str(unchanged(path, told["init"])))
    if told.get("class_map"):
        run = replace(run, class_map=unchanged(path, told["class_map"]))
    return run


def unchanged(path: Path, note: dict) -> Path:
    file = path / note["path"]
    if not file.is_file() or sha256_of(file) != note["sha256"]:
        raise UserError(f"{file} is gone or has changed since {path} began; put it back, or start anew")
    return file


def refuse_unshared(path: Path, step: int) -> None:
    """UserError: the hosts of a run do not see the same folder."""
    steps = [n for (n,) in gathered([step])]
    if len(set(steps)) > 1:
        raise UserError(f"{path} is not the same for all processes (steps {steps}); put it where all hosts see it")


def save_best(path: Path, job: Job, distiller: Distiller, scores: dict, epoch: int) -> None:
    """The student to take away, and what its losses learnt, which it can do without."""
    found = {"data": encode(job.run.data), "epoch": epoch, "scores": scores}
    save_detector(path / "student.safetensors", distiller.student, about(job) | found)
    save_module(path / "losses.safetensors", distiller.losses, {})


def discard_unsaved(path: Path) -> None:
    """Of a run that failed before its first checkpoint nothing is worth keeping, nor a folder of runs that is empty."""
    if not state.path(path).exists():
        shutil.rmtree(path)
        with contextlib.suppress(OSError):
            path.parent.rmdir()
