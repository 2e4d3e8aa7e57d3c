"""Checks a COCO instances file and its images, and repairs a copy. It reports all faults, where training stops at the first.

Each module of CHECKS has `find(case)`, which yields faults, and `repair(case)`, which changes the records that the case holds and
yields one sentence for each kind of change. No existing file is ever written.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from core.data.check import boxes, classes, image_files, records, splits
from core.data.check.case import Case, Progress, no_progress
from core.data.check.table import table
from core.data.coco.corrections import correct
from core.data.coco.faults import NOTICES, Fault
from core.data.coco.folder import ImageFolder, find_split
from core.data.coco.instances import garbage_collector_paused, parse, parse_without_segmentations, read_raw
from core.data.coco.limits import RECIPES, exceeded
from core.data.coco.rules import SINGULAR
from core.errors import UserError
from core.files import write_bytes

CHECKS = (records, classes, image_files, boxes, splits)


@dataclass(frozen=True)
class Report:
    """The result of checking one file."""

    path: Path
    images: Path | None  # the folder of images; None: no images were checked
    against: Path | None  # the file of the other split
    faults: tuple[Fault, ...]
    notices: tuple[Fault, ...]  # worth knowing, but no reason not to train
    table: dict  # see table.table
    note: str = ""  # what was read otherwise than it is written
    limits: tuple[str, ...] = ()  # settings of the recipes coco* that the data exceeds, a sentence each

    def as_dict(self) -> dict:
        """The report as values that JSON can hold."""
        paths = {key: value and str(value) for key, value in vars(self).items() if key in ("path", "images", "against")}
        faults = {key: [asdict(f) for f in getattr(self, key)] for key in ("faults", "notices")}
        return (
            {"sound": not self.faults}
            | paths
            | faults
            | {"table": self.table, "note": self.note, "limits": [*self.limits]}
        )


def open_case(
    path: Path,
    images: Path | None = None,
    *,
    segmentations: bool = False,
    progress: Progress = no_progress,
    split: str = "train",
) -> Case:
    """Reads a file to be checked, or a split of a folder. `images` is by default the folder of `default_images`, if that exists.

    Segmentations must be read if a copy is to be written; they take gigabytes. UserError: the file or folder cannot be read.
    """
    with garbage_collector_paused():
        source = find_split(path, split)
        file = source.file or (
            parse(source.path, read_raw(source.path)) if segmentations else parse_without_segmentations(source.path)
        )
        root = images or (source.images if source.images.is_dir() else None)
        folder = ImageFolder(root) if root else None
        return Case(source.path, file, folder, progress=progress, name=source.name, note=correct(file, folder))


def examine(case: Case, allow: tuple[str, ...] = ()) -> Report:
    """Reports all faults of a case. Faults of the kinds in `allow` become notices."""
    with garbage_collector_paused():
        faults = [fault for check in CHECKS for fault in check.find(case)]
        mild = {*NOTICES, *allow}
        return Report(
            case.path,
            case.folder.root if case.folder else None,
            case.against.path if case.against else None,
            tuple(f for f in faults if f.kind not in mild),
            tuple(f for f in faults if f.kind in mild),
            table(case),
            case.note,
            tuple(limits(case)),
        )


def limits(case: Case) -> Iterator[str]:
    """The settings of the recipes coco* that the file or the other split exceeds. What is a fault too is left out."""
    for split in (case, case.against):
        if split:
            instances = replace(split.instances, boxes=boxes.boxes_of(split).converted)
            for limit in exceeded(split.name, instances, RECIPES, training=split is case):
                if split is case.against or limit.kind not in ("class", "area"):
                    yield str(limit)


def repair(case: Case) -> Iterator[str]:
    """Repairs the records in memory, and yields one sentence for each kind of change. The file on disk stays as it is.

    What was read otherwise than it is written counts as repaired, since the records hold what it means.
    """
    if case.note:
        yield case.note
        case.note = ""
    for check in CHECKS:
        yield from check.repair(replace(case))  # a new Case caches nothing from before the last check's repairs


@dataclass(frozen=True)
class Loss:
    """The objects and lists that repairs take away."""

    dropped: int  # objects, without copies of objects that stay, and without those that the other split has
    objects: int  # before the repairs
    emptied: str = ""  # the list of which nothing would be left: images, annotations or categories

    @property
    def harmful(self) -> bool:
        """Returns whether more than a tenth of the objects would go, or a whole list."""
        return bool(self.emptied) or 10 * self.dropped > self.objects


def repair_and_count(case: Case) -> tuple[list[str], Loss]:
    """Repairs the records in memory as `repair` does. Returns the sentences, and what was lost."""
    before = {section: len(case.file[section]) for section in SINGULAR}
    objects = [a for a in case.file["annotations"] if type(a) is dict]
    changes = list(repair(replace(case, against=None)))
    kept = {id(a) for a in case.file["annotations"]}
    same = {what_it_marks(a) for a in case.file["annotations"]}
    dropped = sum(id(a) not in kept and what_it_marks(a) not in same for a in objects)
    changes += splits.repair(replace(case))  # what goes here is kept in the other split
    case.note = ""
    emptied = next((section for section, count in before.items() if count and not case.file[section]), "")
    return changes, Loss(dropped, len(objects), emptied)


def what_it_marks(annotation: dict) -> str:
    """The image, class and box of an annotation, equal for copies; any values will do."""
    return repr([annotation.get(key) for key in ("image_id", "category_id", "bbox")])


def write_copy(case: Case, path: Path) -> None:
    """Writes the records to a new file. UserError: the file exists, or cannot be written."""
    write_new(path, json.dumps(case.file).encode())


def write_same(source: Path, path: Path) -> None:
    """Writes the bytes of a file that needs no repair to a new file. UserError: as `write_copy`."""
    write_new(path, read_raw(source))


def write_new(path: Path, content: bytes) -> None:
    """Writes a new file. UserError: it exists, or cannot be written."""
    if path.exists():
        raise UserError(f"{path} exists; give a new name, as no file is overwritten")
    try:
        write_bytes(path, content)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); choose another place") from None
