"""The verbs of `python -m train`, one function each, called after their first words have been checked. Imports torch.

The docstring of a dataclass of flags is the description in its --help, and the comments are the help texts."""

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from itertools import chain, count
from pathlib import Path

import torch

from core.data.coco.dataset import Coco
from core.data.loader import evaluation
from core.data.sample import Dataset
from core.errors import UserError
from core.files import read_json, whole_folder, write_json
from core.limits import Count, Workers
from core.metrics.coco_ap import note_on_ap
from core.progress import watched
from core.runs.checkpoint import load_detector, weights_file
from core.runs.class_mapping import categories_of
from core.runs.config import decode, did_you_mean
from core.runs.diagnose import IMAGES, diagnose
from core.runs.open import refuse_unread
from core.terminal import printable
from train import exports, recipes, studies
from train.cli import import_weights, report_run, short_flags
from train.cli.flags import flags, parser
from train.distributed import parallel
from train.distributed.evaluate import score
from train.distributed.parallel import first_text, ranks, restarted
from train.engine import label as labels
from train.engine import loop
from train.engine import predict as predictions
from train.engine.failures import SMALLER_BATCH, explain_lack_of_memory
from train.engine.interrupt import sigterm_unwinds
from train.exports import _cost, _trial
from train.job import stored_teacher
from train.job.auto import fitted_to_data
from train.job.build import device_of, resolve_path, with_classes
from train.job.images import dataset
from train.run import USUAL, Data, Run, is_quick, quick
from train.run_folder import folder
from train.score_table import table

RUNS = Path("runs")
QUICK_NOTE = "QUICK=1: one epoch on eight images, to try a command; the scores mean nothing"


def fit(
    recipe: str | None,
    card: Path | None,
    out: Path | None,
    arguments: list[str],
    *,
    auto: bool = False,
    force: bool = False,
) -> Path:
    """Trains a recipe, or the run of a card, with the fields that the flags set, in the folder `out` or in one of RUNS.

    Returns the folder.

    One of `recipe` and `card` is given.
    `auto` takes the number of queries and the image size from the data, where those of the run are too small for it. `force`
    takes a teacher that has not finished, or that is no better than its student.
    """
    if card:
        start = read_card(card)
    else:
        assert recipe is not None
        start = recipes.recipe(recipe)
    about = recipes.card(recipe) if recipe else None
    arguments = short_flags.expanded(arguments, start)
    prog = f"python -m train fit {recipe or f'--card {card}'}"
    run = flags(start, arguments, prog, about, usual=USUAL, short=short_flags.HELP)
    if (run.init or "").lower() == "none":
        run = replace(run, init=None)
    if card:
        refuse_folders_of_card(run, card, arguments)
    if run.student.classes != start.student.classes:
        raise UserError("the number of classes comes from the data; leave --student.classes out")
    if run.init not in (None, "imagenet") and any(word.startswith("--student.queries") for word in arguments):
        run = replace(run, init_queries=run.student.queries)
    if auto:
        run = fitted_to_data(run)
    if is_quick():
        say(QUICK_NOTE)
        run = quick(run)
    with process_group():
        if path := restarted_folder(run, out or RUNS / run.name):
            say(f"torchrun has restarted {path}: it goes on from its last checkpoint")
            loop.resume(path)
        else:
            force = force or is_quick()
            with parallel.share_user_errors():
                path = out or (RUNS / run.name if run.name != start.name else new_path(RUNS / run.name))
                if run.teacher and not force:
                    refuse_unfinished_teacher(resolve_path(run.teacher))
            path = Path(first_text(str(path)))
            loop.fit(run, path, force=force)
        say_done(path)
        return path


def refuse_folders_of_card(run: Run, card: Path, arguments: list[str]) -> None:
    """Raises UserError if a card, and no flag, says where the teacher's outputs are written."""
    for name, path in (("store", run.teacher_store), ("cache", run.teacher_cache)):
        if path and not any(word.startswith((f"--teacher-{name}", f"--teacher_{name}")) for word in arguments):
            raise UserError(f"{card} would write to {path}; say where with --teacher-{name} FOLDER, or None")


def resume(path: Path, arguments: list[str]) -> None:
    """Continues a run from its last checkpoint."""
    if arguments:
        raise UserError(f"resume takes a run alone, not {arguments[0]}: its card says the rest")
    with process_group():
        loop.resume(path)
        say_done(path)


def process_group() -> AbstractContextManager[None]:
    """While open, all processes of this run form a group."""
    return parallel.process_group(torch.cuda.is_available())


def say(text: str) -> None:
    """Prints in the first process only."""
    if ranks().first:
        print(printable(text), flush=True)


def say_done(path: Path) -> None:
    """Prints that a run is finished, and the command to look at it."""
    say(f"done: {path}; look at it with: python -m app {path}")


def restarted_folder(run: Run, path: Path) -> Path | None:
    """The folder of this run if torchrun has restarted it, which repeats the command; None for a new run."""
    started = folder.find_started(run, path) if ranks().first and restarted() else None
    text = first_text(str(started or ""))
    return Path(text) if text else None


def read_card(path: Path) -> Run:
    """The Run of a card.json. UserError: it is not the card of a run."""
    card = read_json(path)
    if not isinstance(card, dict) or "run" not in card:
        raise UserError(f"{path} is not a run's card.json: it has no field run")
    return decode(Run, card["run"], f"{path}: run")


def new_path(path: Path) -> Path:
    """The folder of a new run, with a number if the name is taken, which is said.

    UserError: a run of this name is not finished.
    """
    if left := folder.unfinished(path):
        raise UserError(
            f"{path} exists and is not finished ({left}); go on with: python -m train resume {path}, or give a --name"
        )
    new = free_path(path)
    if new != path:
        say(f"{path} exists and is finished; this run goes to {new}")
    return new


def refuse_unfinished_teacher(teacher: Path) -> None:
    """UserError: the teacher is a run that has not finished."""
    if left := folder.unfinished(teacher):
        raise UserError(
            f"the teacher {teacher} is not finished ({left}); go on with: python -m train resume {teacher}, or add --force"
        )


def free_path(path: Path) -> Path:
    """The path, with a number appended if it is taken. For default names only: a name that the user chose is not changed."""
    numbered = (path.with_name(f"{path.name}-{n}") for n in count(2))
    return next(p for p in chain([path], numbered) if not folder.is_taken(p))


@dataclass(frozen=True)
class Measure:
    """Average precision of a run's student, or of a file of weights."""

    data: Path | None = None  # COCO instances JSON, or a folder as for `fit`. Default: the run's validation images.
    images: Path | None = None  # Folder of its images. Default: `images` beside the JSON, or COCO's own layout.
    batch: Count = 8  # Images in a batch.
    workers: Workers = 0  # Processes that load images.
    device: str = "auto"  # Device to run on; auto takes cuda if there is one.


def evaluate(path: Path, arguments: list[str]) -> None:
    """Prints the average precision of a run's student, or of a file of weights."""
    options = flags(Measure(), arguments, f"python -m train eval {path}")
    detector, card = load_detector(weights_file(path))
    trained = decode(Data, card["data"], f"{path}: data") if "data" in card else None
    val: Dataset
    if options.data:
        val = Coco(options.data, options.images)
    elif trained is None or (trained.kind == "coco" and not (trained.val or trained.folder)):
        raise UserError(f"{path} does not say on which data; give --data INSTANCES.json --images FOLDER")
    else:
        if trained.kind == "shapes":
            refuse_unread(options.images, path)
        val = dataset(replace(trained, images=options.images or trained.images), "val")
    val = with_classes(val, categories_of(card, path), str(path))
    augment = (trained or Data()).augment
    with process_group():
        scores = score(
            detector.to(device_of(options.device)), val, augment, batch=options.batch, workers=options.workers
        )
    if scores is not None and ranks().first:
        print(table(scores))
        if note := note_on_ap():
            print(f"note: {note}")
    if path.is_dir():
        source = options.data or (options.images and trained and (trained.val or trained.folder))
        data = "".join(f" --{key} {x}" for key, x in (("data", source), ("images", options.images)) if x)
        say(f"look at it with: python -m app {path}{data}")


@dataclass(frozen=True)
class Doctor:
    """Diagnosis of a run: numbers, and each setting to change with its evidence."""

    data: Path | None = None  # COCO instances JSON, or a folder as for `fit`. Default: the run's validation images.
    images: Path | None = None  # Folder of its images.
    limit: Count = IMAGES  # Number of images on which student and teacher are compared.
    json: Path | None = None  # Write the whole diagnosis to this file.


def doctor(path: Path, arguments: list[str]) -> int:
    """Prints the diagnosis of a run. Returns the exit code: 1 if there is a setting to change, 0 if not."""
    options = flags(Doctor(), arguments, f"python -m train doctor {path}")

    def watch(images: Iterable, count: int) -> Iterable:
        return watched(images, "comparing student and teacher", count)

    diagnosis = diagnose(path, options.data, options.images, limit=options.limit, watch=watch)
    print(report_run.text(diagnosis))
    if options.json:
        write_json(options.json, asdict(diagnosis))
    return int(bool(diagnosis.findings))


def label(path: Path, arguments: list[str]) -> None:
    """Writes the predictions of a run's student, or of a file of weights, as a COCO file with scores."""
    options = flags(labels.Label(), arguments, f"python -m train label {path}")
    with process_group():
        count = labels.label(path, options, device_of(options.device))
        say(f"done: {options.out} with {count} predictions; train with: --data.unlabelled {options.out}")
        folder = f" --images {options.images}" if options.images else ""
        say(f"look at it with: python -m app {path} --data {options.out}{folder}")


FAULTS_SHOWN = 10


def predict(path: Path, words: list[str], arguments: list[str]) -> int:
    """Writes the predictions of a run's student, or of a file of weights, for images without labels.

    Returns the exit code: 1 if an image could not be read, 0 if not.
    """
    options = flags(predictions.Predict(), arguments, f"python -m train predict {path}")
    with process_group():
        done = predictions.predict(path, words, options, device_of(options.device))
    if not ranks().first:
        return 0
    for fault in done.faults[:FAULTS_SHOWN]:
        print(f"left out: {printable(fault)}", file=sys.stderr)
    if (rest := len(done.faults) - FAULTS_SHOWN) > 0:
        print(f"left out: {rest} more, which {done.out / predictions.LIST} names", file=sys.stderr)
    speed = f", {done.images_per_second:.3g} images a second" if done.images_per_second else ""
    print(f"done: {done.out} with {done.predictions} predictions in {done.images} images{speed}")
    return int(bool(done.faults))


def store(path: Path, arguments: list[str]) -> None:
    """Asks a run's student, or a file of weights, once for each training image, and writes what it says to a folder."""
    options = flags(stored_teacher.Store(), arguments, f"python -m train store {path}")
    with process_group(), explain_lack_of_memory(options.out or path, SMALLER_BATCH):
        with parallel.share_user_errors():
            opened = stored_teacher.new_store(path, options, device_of(options.device))
        say(f"store: {options.out}, {opened.size_text}")
        say(opened.complete(options.batch, options.workers))
        say(f"done: {options.out}; train with: --teacher {path} --teacher-store {options.out}")


def import_run(path: Path, arguments: list[str]) -> None:
    """Turns weights that were trained elsewhere into a run."""
    options = flags(import_weights.Import(), arguments, f"python -m train import {path}")
    with sigterm_unwinds():
        import_weights.import_run(path, options)


@dataclass(frozen=True)
class Export:
    """Writes a run's student for use elsewhere."""

    to: str = "safetensors"  # Format to write: safetensors, hf, onnx, or onnx_raw with the outputs of the decoder.
    out: Path | None = None  # New folder to write.


def export(path: Path, arguments: list[str], formats: list[str]) -> None:
    """Writes a run's student in one of the formats, and prints what a forward pass costs."""
    options = flags(Export(), arguments, f"python -m train export {path}")
    if options.to not in formats:
        raise UserError(f"no format {options.to!r}{did_you_mean(options.to, formats)}")
    if options.out is None:
        raise UserError("say which folder to write: --out FOLDER")
    with sigterm_unwinds(), whole_folder(options.out) as scratch:
        detector, card = load_detector(weights_file(path))
        hint = exports.FILES.module(options.to).export(detector, card, scratch)
        trial = _trial.trial(card, count=1)
        images, _ = next(evaluation(trial.images, trial.augment, batch=1))
        print(_cost.text(_cost.cost(detector, images, distilled=is_distilled(path)), images), flush=True)
    print(f"done: {options.out}; {hint.format(folder=options.out)}")


def is_distilled(path: Path) -> bool:
    """Returns whether a path is a run that had a teacher; of a file nothing is known."""
    card = path / "card.json"
    return card.is_file() and bool(read_json(card).get("teacher"))


def study(name: str, arguments: list[str]) -> None:
    """Runs a study; its flags are the arguments of its `main`."""
    main = studies.FILES.module(name).main
    if not arguments and find_spec("tyro") is None:
        main()
    else:
        parser().cli(main, args=arguments, prog=f"python -m train study {name}")
