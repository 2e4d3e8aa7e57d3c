"""The COCO doctor: all that is wrong with an instances file and its images, where the loader stops at the first thing.

Each module of CHECKS has `find(case)`, which yields faults, and `mend(case)`, which changes the records that the case
holds and yields what it did. No file that exists is ever written.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from core.data.check import boxes, classes, image_files, records, splits
from core.data.check.case import Case, Watch, unwatched
from core.data.check.table import table
from core.data.coco.faults import NOTICES, Fault
from core.data.coco.folder import Folder, images_of
from core.data.coco.instances import parse, read, without_collector, without_outline
from core.errors import UserError
from core.files import write_bytes

CHECKS = (records, classes, image_files, boxes, splits)


@dataclass(frozen=True)
class Report:
    path: Path
    images: Path | None  # the folder that was looked at
    against: Path | None
    faults: tuple[Fault, ...]
    notices: tuple[Fault, ...]  # worth knowing, and no reason to stop
    table: dict

    def plain(self) -> dict:
        """For a file that machines read."""
        paths = {key: value and str(value) for key, value in vars(self).items() if key in ("path", "images", "against")}
        found = {key: [asdict(f) for f in getattr(self, key)] for key in ("faults", "notices")}
        return {"sound": not self.faults} | paths | found | {"table": self.table}


def open_case(path: Path, images: Path | None = None, *, outlines: bool = False, watch: Watch = unwatched) -> Case:
    """`images` is by default the folder that `images_of` finds, if there is one.

    Outlines are needed to write the file anew, and take gigabytes. UserError: no such file or folder.
    """
    with without_collector():
        file = parse(path, read(path), None if outlines else without_outline)
    usual = images_of(path)
    folder = images or (usual if usual.is_dir() else None)
    return Case(path, file, folder and Folder(folder), watch=watch)


def examine(case: Case, allow: tuple[str, ...] = ()) -> Report:
    """Faults of the kinds in `allow` are notices."""
    with without_collector():
        found = [fault for check in CHECKS for fault in check.find(case)]
        mild = {*NOTICES, *allow}
        return Report(
            case.path,
            case.folder and case.folder.root,
            case.against and case.against.path,
            tuple(f for f in found if f.kind not in mild),
            tuple(f for f in found if f.kind in mild),
            table(case),
        )


def mend(case: Case) -> Iterator[str]:
    """Changes the records, not the file they came from; each check sees what the one before it left."""
    for check in CHECKS:
        yield from check.mend(replace(case))


def write_new(case: Case, path: Path) -> None:
    """UserError: the file exists, or cannot be written."""
    if path.exists():
        raise UserError(f"{path} exists; give a new name, as no file is overwritten")
    try:
        write_bytes(path, json.dumps(case.file).encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); choose another place") from None
