"""What the command line does, once its first words are known to be right. Imports torch; `__main__` does not."""

import os
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from itertools import chain, count
from pathlib import Path

import torch
import tyro

from core.checkpoint import load_detector, weights_file
from core.config import decode, meant
from core.data.coco import Coco
from core.data.loader import evaluation
from core.doctor import IMAGES, diagnose
from core.errors import UserError
from core.files import read_json, whole_folder, write_json
from train import diagnosis, folder, imports, loop, parallel
from train.build import dataset, device_of, same_classes
from train.cost import cost, told
from train.flags import flags
from train.parallel import first_word, ranks, restarted
from train.run import Data, Run, quick
from train.score import score, table
from train.trial import trial
from train.watch import watched

RUNS = Path("runs")


def fit(recipe: str | None, given: Path | None, arguments: list[str]) -> None:
    """A recipe or a card, then flags."""
    start = read_card(given) if given else import_module(f"train.recipes.{recipe}").run()
    card = import_module(f"train.recipes.{recipe}").__doc__ if recipe else None
    run = flags(start, arguments, f"python -m train fit {recipe or f'--card {given}'}", card)
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
        farewell(path)


def resume(path: Path, arguments: list[str]) -> None:
    if arguments:
        raise UserError(f"resume takes a run alone, not {arguments[0]}: its card says the rest")
    with joined():
        loop.resume(path)
        farewell(path)


def joined():
    return parallel.joined(torch.cuda.is_available())


def say(text: str) -> None:
    if ranks().first:
        print(text, flush=True)


def begun(run: Run, path: Path) -> Path | None:
    """The folder of this very run, if torchrun has started it before: it starts the same command again."""
    found = folder.begun(run, path) if ranks().first and restarted() else None
    return Path(word) if (word := first_word(str(found or ""))) else None


def farewell(path: Path) -> None:
    say(f"done: {path}; look at it with: python -m app {path}")


def read_card(path: Path) -> Run:
    card = read_json(path)
    if not isinstance(card, dict) or "run" not in card:
        raise UserError(f"{path} is not a run's card.json: it has no field run")
    return decode(Run, card["run"], f"{path}: run")


def free(path: Path) -> Path:
    """The path, with a number where it is taken; a name that the user chose is never changed, but refused if taken."""
    numbered = (path.with_name(f"{path.name}-{n}") for n in count(2))
    return next(p for p in chain([path], numbered) if not folder.taken(p))


@dataclass(frozen=True)
class Measure:
    data: Path | None = None  # COCO instances JSON; else the data that the run was measured on
    images: Path | None = None  # its folder of images; else `images` beside the JSON, or COCO's own
    batch: int = 8
    workers: int = 0
    device: str = "auto"


def evaluate(path: Path, arguments: list[str]) -> None:
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
    data: Path | None = None  # COCO instances JSON; else the data that the run was measured on
    images: Path | None = None  # its folder of images
    limit: int = IMAGES  # images that student and teacher are compared on
    json: Path | None = None  # write the whole diagnosis there


def doctor(path: Path, arguments: list[str]) -> int:
    """The exit code: 1 if there is a setting to change."""
    given = flags(Doctor(), arguments, f"python -m train doctor {path}")
    if given.limit < 1:
        raise UserError(f"--limit is {given.limit}; it takes at least one image to compare")
    watch = partial(watched, doing="comparing student and teacher")
    found = diagnose(path, given.data, given.images, limit=given.limit, seen=lambda x, n: watch(x, count=n))
    print(diagnosis.text(found))
    if given.json:
        write_json(given.json, asdict(found))
    return int(bool(found.findings))


def bring(path: Path, arguments: list[str]) -> None:
    imports.bring(path, flags(imports.Import(), arguments, f"python -m train import {path}"))


@dataclass(frozen=True)
class Export:
    to: str = "safetensors"  # the format
    out: Path | None = None  # the new folder


def export(path: Path, arguments: list[str], formats: list[str]) -> None:
    given = flags(Export(), arguments, f"python -m train export {path}")
    if given.to not in formats:
        raise UserError(f"no format {given.to!r}{meant(given.to, formats)}")
    if given.out is None:
        raise UserError("say which folder to write: --out FOLDER")
    with whole_folder(given.out) as scratch:
        detector, card = load_detector(weights_file(path))
        use = import_module(f"train.exports.{given.to}").export(detector, card, scratch)
        images, _ = next(evaluation((on := trial(card, count=1)).images, on.augment, batch=1))
        print(told(cost(detector, images), images), flush=True)
    print(f"done: {given.out}; {use.format(folder=given.out)}")


def study(name: str, arguments: list[str]) -> None:
    module = import_module(f"train.studies.{name}")
    tyro.cli(module.main, args=arguments, prog=f"python -m train study {name}")
