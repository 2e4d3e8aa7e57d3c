"""`python -m train convert`: writes one split of a folder (YOLO, VOC, Roboflow, COCO) as a COCO instances file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import UserError
from core.terminal import printable
from train.cli.flags import flags


@dataclass(frozen=True)
class Convert:
    """Writes one split of a folder as a COCO instances file; images stay where they are."""

    out: Path | None = None  # New file to write.
    split: Literal["train", "val", "test"] = "train"  # Split of the folder.


def run(words: list[str]) -> None:
    """Converts the folder, or data.yaml, that the first word names. UserError: it cannot be read, or the file exists."""
    path, rest = (words[0], words[1:]) if words and words[0] not in ("--help", "-h") else (None, ["--help"])
    options = flags(Convert(), rest, f"python -m train convert {path or 'FOLDER'}")
    if options.out is None:
        raise UserError("say which file to write: --out NEW.json")
    from core.data import check  # imports numpy, so after the flags

    case = check.open_case(Path(path or ""), segmentations=True, split=options.split)
    check.write_copy(case, options.out)
    counts = f"{len(case.file['images'])} images, {len(case.file['annotations'])} boxes"
    images = f" --images {case.folder.root}" if case.folder else ""
    print(printable(f"written: {options.out}, {counts}; see python -m train check {options.out}{images}"))
