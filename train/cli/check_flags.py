"""The flags of `python -m train check`. Imports neither torch nor numpy, so that a mistake is reported at once."""

from dataclasses import dataclass
from pathlib import Path

from core.data.coco.faults import KINDS
from core.errors import UserError
from core.runs.config import did_you_mean
from train.cli.flags import flags


@dataclass(frozen=True)
class Check:
    """The flags. Each comment is the flag's help text."""

    images: Path | None = None  # Folder of the images. Default: `images` beside the file, or COCO's own layout.
    against: Path | None = None  # Instances file of another split, which must share no image with this one.
    against_images: Path | None = None  # Folder of its images. Default: `images` beside it, or the folder of this file.
    allow: tuple[str, ...] = ()  # Kinds of faults that are not counted as faults.
    json: Path | None = None  # Write the whole report to this file.
    fix_to: Path | None = None  # Write a repaired copy to this file; no existing file is changed.
    force: bool = False  # Write the copy even if more than a tenth of the objects would be dropped.


def parse(words: list[str]) -> tuple[Path, Check]:
    """The file to check, and the flags. Without words, or with --help, prints the help and exits.

    UserError: an unknown flag or kind of fault.
    """
    path, rest = (words[0], words[1:]) if words and words[0] not in ("--help", "-h") else (None, ["--help"])
    options = flags(Check(), rest, f"python -m train check {path or 'ANNOTATIONS.json'}", about())
    for kind in options.allow:
        if kind not in KINDS:
            raise UserError(f"no kind of fault {kind!r}{did_you_mean(kind, KINDS)}")
    return Path(path or ""), options


def about() -> str:
    """The description above the flags in the help: every kind of fault."""
    kinds = "\n\n".join(f"{kind}: {text}" for kind, text in KINDS.items())
    return f"Every fault of a COCO instances file and its images. Each fault is of one kind:\n\n{kinds}"
