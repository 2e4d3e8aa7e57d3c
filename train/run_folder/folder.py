"""The folder of a run: its card, the trained weights, and the lock that allows one training at a time."""

import contextlib
import fcntl
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from core.data.category import Category
from core.distiller import Distiller
from core.errors import UserError
from core.files import read_json, sweep, whole_folder, write_json
from core.metrics.coco_ap import NUMBERS
from core.project import ROOT
from core.runs.checkpoint import card_entry, save_detector, save_module, sha256_of, weights_file
from core.runs.class_mapping import categories_of
from core.runs.config import decode, encode
from core.runs.last_layer import LastLayer
from core.runs.results import scores
from train.distributed.parallel import gather_numbers, launch_id
from train.job.build import Job, resolve_path
from train.job.images import ChosenRule
from train.run import Run
from train.run_folder import assignments, state

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"  # files of weights that transformers saves


def create(path: Path, job: Job, teacher_results: dict | None, note: dict) -> None:
    """Makes the folder, with the card and the teacher's assignments.

    `teacher_results` has the teacher's `scores`, `instability` and `columns` (of its assignments); `note` is added to the
    card. UserError: another run has taken the folder in the meantime.
    """
    refuse_taken(path)
    run, teacher = job.run, None
    if teacher_results and run.teacher:
        teacher = file_reference(weights_file(resolve_path(run.teacher)), path)
        teacher |= {key: value for key, value in teacher_results.items() if key != "columns"}
        teacher |= {"columns": job.class_map}
        if isinstance(job.distiller.teacher, LastLayer):
            teacher |= {"layers": "last"}
    sources = {"init": run.init if run.init != "imagenet" else None, "class_map": run.class_map}
    files = {
        key: file_reference(weights_of(resolve_path(file)), path) if file else None for key, file in sources.items()
    }
    note = note | ({"launch": launch_id()} if launch_id() else {})
    entries = common_entries(job.loader.dataset.categories)
    pseudo = {"pseudo": job.pseudo.entry()} if job.pseudo else {}
    card = {**note, **entries, "run": encode(run), "teacher": teacher, **files, **pseudo}
    with whole_folder(path) as scratch:  # a process that is killed here leaves no folder
        if teacher_results and teacher_results["instability"]:
            assignments.append(scratch, "teacher", 0, teacher_results["columns"])
        write_json(scratch / "card.json", card)


def common_entries(categories: Iterable[Category]) -> dict:
    """The entries that every card has: the classes, the program's commit, and the versions of Python and torch."""
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {"categories": [{"id": c.id, "name": c.name} for c in categories], "commit": commit(), "versions": versions}


def is_taken(path: Path) -> bool:
    """Returns whether a path is a file, or a folder that is not empty."""
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


def refuse_taken(path: Path) -> None:
    """Raises UserError if the folder of a new run is taken."""
    if is_taken(path):
        raise UserError(f"{path} exists; go on with it by: python -m train resume {path}, or choose another --name")


def unfinished(path: Path) -> str:
    """A text on how far a run that has not finished is, as in "epoch 3 of 40".

    It is "" for a run that has finished or was imported, and for what is no run.
    """
    file = path / "card.json"
    if not file.is_file():
        return ""
    card = read_json(file)
    if isinstance(card, dict) and "imported" in card:
        return ""
    epochs = decode(Run, card_entry(card, "run", dict, path), f"{file}: run").optim.epochs
    done = state.read_progress(path).epoch if state.path(path).exists() else 0
    if not done and (path / "student.safetensors").exists() and any(x["epoch"] == epochs for x in scores(path)):
        return ""  # it was copied without its checkpoint, as the runs that come with the project
    return f"epoch {done} of {epochs}" if done < epochs else ""


def find_started(run: Run, path: Path) -> Path | None:
    """The newest folder, of this name with or without a number, that this launch of torchrun made for this run; or None."""
    cards = [c for c in path.parent.glob(f"{path.name}*/card.json") if read_json(c).get("launch") == launch_id()]
    for card in sorted(cards, key=lambda c: c.stat().st_mtime, reverse=True):
        started = decode(Run, read_json(card)["run"], f"{card}: run")
        # The data sets the number of classes, and a trained detector to start from sets the whole architecture.
        taken = run.student if run.init else replace(started.student, classes=run.student.classes)
        if replace(started, student=taken) == run:
            return card.parent
    return None


def weights_of(source: Path) -> Path:
    """The file of weights of a run or of a folder that transformers saved, or the index of its shards; a file itself."""
    own = weights_file(source)
    return next((file for file in (own, source / WHOLE, source / INDEX) if file.is_file()), own)


def file_reference(file: Path, path: Path) -> dict:
    """The card's entry for a file: its digests, and its path relative to the run's folder, so that both can be moved together.

    Folders that are symbolic links are followed, as they will be when the path is read.
    """
    return {"path": os.path.relpath(file.parent.resolve() / file.name, path.resolve()), **digests(file)}


def digests(file: Path) -> dict:
    """The entries of a card by which a file is known again: its SHA-256, and of an index those of its shards, by their name."""
    shards = sorted(set(read_json(file)["weight_map"].values())) if file.name == INDEX else []
    own = {"sha256": sha256_of(file)}
    return own | {"shards": {name: sha256_of(file.parent / name) for name in shards}} if shards else own


def commit() -> str | None:
    """The commit of the program's checkout, with -dirty if files differ from it; None outside a git repository."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@contextlib.contextmanager
def lock(path: Path, first: bool) -> Iterator[None]:
    """Holds the lock of the folder, in the first process; the system releases it however this process ends.

    It uses lockf rather than flock, whose locks are inherited: workers outlive a killed process for a moment, and `resume`
    would have to wait for them. UserError: another run trains in this folder.
    """
    if not first:
        yield
        return
    with open(path / ".claim", "wb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{path} is being trained by another process; wait for it, or stop it first") from None
        for used in (path, state.path(path).parent, path / "faults"):
            sweep(used)
        yield


def read_card(path: Path) -> dict:
    """The card of a run. UserError: the folder has none, or it is another file."""
    if not (path / "card.json").exists():
        raise UserError(f"{path} is not a run: it has no card.json")
    card = read_json(path / "card.json")
    if not isinstance(card, dict) or not {"run", "teacher", "init"} <= card.keys():
        raise UserError(f"{path}/card.json is not the card of a run; give a folder that `python -m train fit` made")
    return card


def load_run(path: Path) -> Run:
    """The configuration of a run, with the paths of its teacher, initial weights and class map as seen from its folder.

    UserError: the folder is not a run's, or one of these files has changed since the run started.
    """
    card = read_card(path)
    run = decode(Run, card["run"], f"{path}/card.json: run")
    if "categories" in card:
        categories_of(card, f"{path}/card.json")
    if card["teacher"]:
        run = replace(run, teacher=unchanged_file(path, card["teacher"]))
        refuse_bad_scores(path, card["teacher"])
    if card["init"]:
        file = unchanged_file(path, card["init"])
        run = replace(run, init=str(file if Path(run.init or "").name == file.name else file.parent))
    if card.get("class_map"):
        run = replace(run, class_map=unchanged_file(path, card["class_map"]))
    return run


def load_rule(path: Path) -> ChosenRule | None:
    """The rule of a run's pseudo truth, as it was chosen when the run started; None if all its images have labels."""
    entry = read_card(path).get("pseudo")
    return ChosenRule.from_entry(entry, f"{path}/card.json: pseudo") if entry else None


def unchanged_file(path: Path, reference: Any) -> Path:
    """The file of an entry that `file_reference` made in the card of the run `path`.

    UserError: it, or a shard of it, is gone or has changed.
    """
    name, digest = (card_entry(reference, key, str, path) for key in ("path", "sha256"))
    shards = card_entry(reference, "shards", dict, path) if "shards" in reference else {}
    file = path / name
    for part, known in {file: digest, **{file.parent / shard: x for shard, x in shards.items()}}.items():
        if "\0" in str(part) or not part.is_file() or sha256_of(part) != known:
            raise UserError(f"{part} is gone or has changed since {path} began; put it back, or start a new run")
    return file


def refuse_bad_scores(path: Path, teacher: dict) -> None:
    """Raises UserError if the teacher's entry in the card of the run `path` lacks what the log of a new run begins with."""
    scores = card_entry(teacher, "scores", dict, path)
    for key in NUMBERS:
        if key not in scores or scores[key] is not None:
            card_entry(scores, key, float, path)
    if teacher.get("instability") is not None:
        card_entry(teacher, "instability", dict, path)


def refuse_unshared(path: Path, step: int) -> None:
    """Raises UserError if the processes find different checkpoints, since then their hosts do not share the folder."""
    steps = [n for (n,) in gather_numbers([step])]
    if len(set(steps)) > 1:
        raise UserError(f"{path} is not the same for all processes (steps {steps}); put it where all hosts see it")


def save_best(path: Path, job: Job, distiller: Distiller, scores: dict, epoch: int) -> None:
    """Writes the student, which can be used without the run, and the weights of its losses."""
    card = common_entries(job.loader.dataset.categories)
    card |= {"data": encode(job.run.data), "epoch": epoch, "scores": scores}
    save_detector(path / "student.safetensors", distiller.student, card, within=path)
    save_module(path / "losses.safetensors", distiller.losses, {}, within=path)


def discard_unsaved(path: Path) -> None:
    """Removes the folder of a run that failed before its first checkpoint, and the folder around it if that is then empty."""
    if not state.path(path).exists():
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()
