"""The command line of `python -m train`: finds the verb, checks the words that follow, and returns an exit code.

Torch is imported only after the verb and the name that follows it have been checked, so that a typo is reported at once.
"""

import os
import sys
from collections.abc import Collection
from itertools import takewhile
from pathlib import Path

from core.drop_ins import DropIns
from core.errors import UserError
from core.runs.config import did_you_mean
from core.terminal import exit_code, printable
from train import exports, recipes, studies
from train.cli import recipe_list
from train.errors import Failed, FailedHere, Lost, NotFinite, Stopped

USAGE = """\
usage: python -m train VERB ...

  list [WORD]               the recipes, or those that mention WORD; --long adds score, time and paper
  fit RECIPE [FLAGS]        train into runs/NAME or --out FOLDER; --card FILE repeats a run; --help after a recipe shows its
                            flags; --auto takes queries and image size from the data, --force any teacher
  resume RUN                continue a run that was stopped
  eval RUN_OR_CHECKPOINT    average precision; [--data JSON --images FOLDER]
  doctor RUN                what each loss does to the student, and which setting to change; exits with 1 if there is one
  predict RUN IMAGES        what it finds in images, a folder, a video or - (standard input), as COCO results and pictures with
                            boxes: [--score N] [--out FOLDER]; exits with 1 if an image cannot be read
  label TEACHER             predictions as a COCO file, the truth of unlabelled images: --images FOLDER --out JSON
  store TEACHER             what it says of the training images, for fit --teacher-store: --out FOLDER [--data.* as fit]
  check ANNOTATIONS.json    every fault of a COCO file and its images, before training meets it
  convert FOLDER            a split of a folder (YOLO, VOC, Roboflow) as a COCO file: --out JSON [--split train|val|test]
  study NAME                train several runs and print a table
  import FILE_OR_FOLDER     turn weights trained elsewhere into a run: --out RUN; [--classes JSON]
  export RUN                write the student for use elsewhere: --to safetensors|hf|onnx|onnx_raw --out FOLDER
"""
VERBS = (
    "list",
    "fit",
    "resume",
    "eval",
    "doctor",
    "predict",
    "label",
    "store",
    "check",
    "convert",
    "study",
    "import",
    "export",
)
CONTINUED = " " * 28  # how a line of USAGE begins that belongs to the verb above it
SWITCHES = ("--auto", "--force")  # flags of fit that are not those of a run
OPEN_A_RUN = ("resume", "eval", "doctor", "predict", "label", "store", "export")


def main(words: list[str]) -> int:
    """Runs one command and returns its exit code.

    0 is success; 1 a loss that is not finite, or faulty data, runs or machines; 2 a user's mistake; 130 an interruption;
    128 + n signal n.
    """
    return exit_code(lambda: run(words), prints=prints())


def run(words: list[str]) -> int | None:
    """Runs one command; None means success."""
    verb, rest = (words[0], words[1:]) if words else ("--help", [])
    if verb in ("--help", "-h"):
        print(USAGE, end="")
        return None
    require_known("verb", verb, VERBS)
    if verb == "list":
        print(recipe_list.text(rest))
        print_notes(recipes.FILES)
        return None
    if verb == "check":
        from train.cli import check_flags

        path, options = check_flags.parse(rest)
        from train.cli import check_data

        return check_data.run(path, options)
    if verb == "convert":
        from train.cli import convert_data

        convert_data.run(rest)
        return None
    if not rest or rest[0] in ("--help", "-h"):
        print(usage(verb))
        return None
    return start(verb, rest)


def usage(verb: str) -> str:
    """The usage of one verb; below it the recipes or studies that it takes."""
    lines = USAGE.splitlines()
    at = next(at for at, line in enumerate(lines) if line.split()[:1] == [verb])
    line = " ".join([lines[at], *takewhile(lambda line: line.startswith(CONTINUED), lines[at + 1 :])])
    listed = {"fit": recipe_list.recipes_text, "study": recipe_list.studies_text}.get(verb)
    return f"usage: python -m train {' '.join(line.split())}" + (f"\n\n{listed()}" if listed else "")


def start(verb: str, rest: list[str]) -> int:
    """Checks the names that follow a verb, then imports torch and runs the verb; returns the exit code."""
    first, arguments = rest[0], rest[1:]
    if verb == "fit":
        words = [x for word in rest if word not in SWITCHES for x in split_value(word)]
        card, arguments = take_path("--card", "file: the card.json of a run", words)
        out, arguments = take_path("--out", "folder: that of the new run", arguments)
        recipe = arguments.pop(0) if arguments and not arguments[0].startswith("-") else None
        if recipe and card:
            raise UserError(f"the card {card} says all of a run; leave out the recipe {recipe}, or --card")
        if recipe or not card:
            require_known("recipe", recipe or first, recipes.names())
    if verb == "study":
        require_known("study", first, studies.FILES.names())
    if verb in OPEN_A_RUN and not Path(first).exists():
        raise UserError(f"{first}: no such run")
    if verb == "predict" and not split_words(arguments)[0] and not {"--help", "-h"} & set(arguments):
        raise UserError(
            f"say which images: python -m train predict {first} IMAGES, a folder, a video, or - for the input"
        )
    if "RANK" in os.environ:  # torch warns when a search for unused weights has found none
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from train.cli import verbs

    try:
        match verb:
            case "fit":
                verbs.fit(recipe, card, out, arguments, auto="--auto" in rest, force="--force" in rest)
            case "resume":
                verbs.resume(Path(first), arguments)
            case "eval":
                verbs.evaluate(Path(first), arguments)
            case "doctor":
                return verbs.doctor(Path(first), arguments)
            case "predict":
                return verbs.predict(Path(first), *split_words(arguments))
            case "label":
                verbs.label(Path(first), arguments)
            case "store":
                verbs.store(Path(first), arguments)
            case "study":
                verbs.study(first, arguments)
            case "import":
                verbs.import_run(Path(first), arguments)
            case "export":
                verbs.export(Path(first), arguments, exports.FILES.names())
    except (Stopped, NotFinite, Failed, Lost) as error:
        if prints() or isinstance(error, Lost | FailedHere):
            print(printable(error), file=sys.stderr)
        return getattr(error, "code", 1)
    return 0


def split_words(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Splits the words before the first flag from the flags; - is a word."""
    at = next((k for k, word in enumerate(arguments) if word.startswith("-") and word != "-"), len(arguments))
    return arguments[:at], arguments[at:]


def prints() -> bool:
    """Returns whether this process prints: of the processes that torchrun starts, only the first does."""
    return os.environ.get("RANK", "0") == "0"


def print_notes(files: DropIns) -> None:
    """Names the files of a drop-in folder that were left out, and why."""
    for note in files.notes():
        print(f"note: {printable(note)}", file=sys.stderr)


def split_value(word: str) -> list[str]:
    """A flag of `fit` that takes a path, and its value, as two words where they are typed as one; other words as they are."""
    return word.split("=", 1) if word.startswith(("--card=", "--out=")) else [word]


def take_path(flag: str, what: str, words: list[str]) -> tuple[Path | None, list[str]]:
    """Splits a flag and its path from the other words; `what` is the path's kind and meaning. UserError: the path is missing."""
    if flag not in words:
        return None, list(words)
    at = words.index(flag)
    if at + 1 == len(words):
        raise UserError(f"{flag} needs a {what}")
    return Path(words[at + 1]), words[:at] + words[at + 2 :]


def require_known(kind: str, word: str, known: Collection[str]) -> None:
    """UserError: the word is not one of the known ones; the nearest is suggested."""
    if word not in known:
        raise UserError(f"no {kind} {word!r}{did_you_mean(word, known)}")
