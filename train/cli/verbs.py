"""What each verb of `python -m train` does once its first words are known to be right. Imports torch."""

import os
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from itertools import chain, count
from pathlib import Path

import torch
import tyro

from core.data.coco.dataset import Coco
from core.data.loader import evaluation
from core.errors import UserError
from core.files import read_json, whole_folder, write_json
from core.progress import watched
from core.runs.checkpoint import load_detector, weights_file
from core.runs.config import decode, did_you_mean
from core.runs.diagnose import IMAGES, diagnose
from train import exports, recipes, studies
from train.cli import import_weights, report_run
from train.cli.flags import flags
from train.distributed import parallel
from train.distributed.parallel import first_word, ranks, restarted
from train.engine import loop
from train.engine.evaluate import score
from train.exports import _cost, _trial
from train.job.build import dataset, device_of, same_classes
from train.run import USUAL, Data, Run, quick
from train.run_folder import folder
from train.score_table import table

RUNS = Path("runs")


def fit(recipe: str | None, card: Path | None, arguments: list[str]) -> None:
    """Trains a recipe, or the run of a card, with what the flags change."""
    start = read_card(card) if card else recipes.recipe(recipe)
    about = recipes.card(recipe) if recipe else None
    run = flags(start, arguments, f"python -m train fit {recipe or f'--card {card}'}", about, usual=USUAL)
    if run.student.classes != start.student.classes:
        raise UserError("the number of classes comes from the data; leave --student.classes out")
    if os.environ.get("QUICK") == "1":
        run = quick(run)
    with joined():
        if path := begun(run, RUNS / run.name):
            say(f"torchrun starts {path} again: it goes on from its last checkpoint")
            loop.resume(path)
        else:
            path = RUNS / run.name if run.name != start.name else free(RUNS / run.name)
            path = Path(first_word(str(path)))
            loop.fit(run, path)
        say_done(path)


def resume(path: Path, arguments: list[str]) -> None:
    """Continues a run from its last checkpoint."""
    if arguments:
        raise UserError(f"resume takes a run alone, not {arguments[0]}: its card says the rest")
    with joined():
        loop.resume(path)
        say_done(path)


def joined() -> AbstractContextManager[None]:
    """The group of all processes of this run, while open."""
    return parallel.joined(torch.cuda.is_available())


def say(text: str) -> None:
    """Prints from the first process alone."""
    if ranks().first:
        print(text, flush=True)


def say_done(path: Path) -> None:
    """Says that a run is finished, and what to do next."""
    say(f"done: {path}; look at it with: python -m app {path}")


def begun(run: Run, path: Path) -> Path | None:
    """The folder that this very run began before torchrun restarted it, which repeats the command; None for a new run."""
    found = folder.begun(run, path) if ranks().first and restarted() else None
    return Path(word) if (word := first_word(str(found or ""))) else None


def read_card(path: Path) -> Run:
    """The Run of a card.json. UserError: it is not the card of a run."""
    card = read_json(path)
    if not isinstance(card, dict) or "run" not in card:
        raise UserError(f"{path} is not a run's card.json: it has no field run")
    return decode(Run, card["run"], f"{path}: run")


def free(path: Path) -> Path:
    """The path, with a number appended where it is taken. Only for default names: a name that the user chose is kept."""
    numbered = (path.with_name(f"{path.name}-{n}") for n in count(2))
    return next(p for p in chain([path], numbered) if not folder.taken(p))


@dataclass(frozen=True)
class Measure:
    data: Path | None = None  # COCO instances JSON. Default: the validation images of the run.
    images: Path | None = None  # Folder of its images. Default: `images` beside the JSON, or COCO's own layout.
    batch: int = 8  # Images in a batch.
    workers: int = 0  # Processes that load images.
    device: str = "auto"  # Device to run on; auto takes cuda if there is one.


def evaluate(path: Path, arguments: list[str]) -> None:
    """Prints the average precision of a run's student, or of a file of weights."""
    given = flags(Measure(), arguments, f"python -m train eval {path}")
    detector, card = load_detector(weights_file(path))
    trained = decode(Data, card["data"], f"{path}: data") if "data" in card else None
    if given.data is None and (trained is None or trained.kind == "coco" and trained.val is None):
        raise UserError(f"{path} does not say on which data; give --data INSTANCES.json --images FOLDER")
    val = Coco(given.data, given.images) if given.data else dataset(trained, "val")
    same_classes(card, val.categories, path)
    augment = (trained or Data()).augment
    with joined():
        scores = score(detector.to(device_of(given.device)), val, augment, batch=given.batch, workers=given.workers)
    if ranks().first:
        print(table(scores))
    if path.is_dir():
        data = "".join(f" --{key} {x}" for key, x in (("data", given.data), ("images", given.images)) if x)
        say(f"look at it with: python -m app {path}{data}")


@dataclass(frozen=True)
class Doctor:
    data: Path | None = None  # COCO instances JSON. Default: the validation images of the run.
    images: Path | None = None  # Folder of its images.
    limit: int = IMAGES  # Number of images on which student and teacher are compared.
    json: Path | None = None  # Write the whole diagnosis to this file.


def doctor(path: Path, arguments: list[str]) -> int:
    """Prints the diagnosis of a run; returns the exit code: 1 if there is a setting to change."""
    given = flags(Doctor(), arguments, f"python -m train doctor {path}")
    if given.limit < 1:
        raise UserError(f"--limit is {given.limit}; it takes at least one image to compare")

    def watch(images, count: int):
        return watched(images, "comparing student and teacher", count)

    diagnosis = diagnose(path, given.data, given.images, limit=given.limit, watch=watch)
    print(report_run.text(diagnosis))
    if given.json:
        write_json(given.json, asdict(diagnosis))
    return int(bool(diagnosis.findings))


def import_run(path: Path, arguments: list[str]) -> None:
    """Turns weights that were trained elsewhere into a run."""
    given = flags(import_weights.Import(), arguments, f"python -m train import {path}")
    import_weights.import_run(path, given)


@dataclass(frozen=True)
class Export:
    to: str = "safetensors"  # Format to write: safetensors, hf or onnx.
    out: Path | None = None  # New folder to write.


def export(path: Path, arguments: list[str], formats: list[str]) -> None:
    """Writes a run's student in one of the formats, with what it costs to use."""
    given = flags(Export(), arguments, f"python -m train export {path}")
    if given.to not in formats:
        raise UserError(f"no format {given.to!r}{did_you_mean(given.to, formats)}")
    if given.out is None:
        raise UserError("say which folder to write: --out FOLDER")
    with whole_folder(given.out) as scratch:
        detector, card = load_detector(weights_file(path))
        use = exports.FILES.module(given.to).export(detector, card, scratch)
        on = _trial.trial(card, count=1)
        images, _ = next(evaluation(on.images, on.augment, batch=1))
        print(_cost.text(_cost.cost(detector, images), images), flush=True)
    print(f"done: {given.out}; {use.format(folder=given.out)}")


def study(name: str, arguments: list[str]) -> None:
    """Runs a study; its flags are the arguments of its `main`."""
    tyro.cli(studies.FILES.module(name).main, args=arguments, prog=f"python -m train study {name}")
