"""python -m train check: its flags. Imports neither torch nor numpy: those come with the checks."""

from dataclasses import dataclass
from pathlib import Path

from core.config import meant
from core.data.faults import KINDS
from core.errors import UserError
from train.flags import flags


@dataclass(frozen=True)
class Check:
    images: Path | None = None  # folder of the images; else `images` beside the file, or COCO's own, if it is there
    against: Path | None = None  # instances file of another split, which shall share no image with this one
    against_images: Path | None = None  # its folder; else `images` beside it, else that of this file
    allow: tuple[str, ...] = ()  # kinds of faults that shall not count as such
    json: Path | None = None  # write the whole report there
    fix_to: Path | None = None  # write a repaired copy there; no file that exists is changed


def main(words: list[str]) -> int:
    """0 sound, 1 faults found; UserError: unreadable, or a mistake. Without words, or for --help, what it does."""
    path, given = (words[0], words[1:]) if words and words[0] not in ("--help", "-h") else (None, ["--help"])
    asked = flags(Check(), given, f"python -m train check {path or 'ANNOTATIONS.json'}", about())
    for kind in asked.allow:
        if kind not in KINDS:
            raise UserError(f"no kind of fault {kind!r}{meant(kind, KINDS)}")
    from train.checkup import checkup

    return checkup(Path(path), asked)


def about() -> str:
    kinds = "\n\n".join(f"{kind}: {text}" for kind, text in KINDS.items())
    return f"All that is wrong with a COCO instances file and its images. Each fault is of a kind:\n\n{kinds}"
