"""`python -m train check`: reports every fault of a COCO instances file and its images, and writes a repaired copy."""

import sys
import warnings
from dataclasses import replace
from pathlib import Path

from core.data import check
from core.data.check.case import Case
from core.data.coco.folder import find_split
from core.data.layouts import is_layout
from core.errors import UserError
from core.files import write_json
from core.progress import watched
from core.terminal import printable
from train.cli import check_report
from train.cli.check_flags import Check

LARGE = 20_000_000  # bytes from which reading a file takes more than a moment


def run(path: Path, options: Check) -> int:
    """Checks one file and prints the report. Returns the exit code: 0 if the file is sound, 1 if not.

    UserError: a file cannot be read or written.
    """
    warnings.filterwarnings("ignore", module="PIL")  # on odd metadata of images that can be read
    refuse_sources(path, options)
    case = open_cases(path, options)
    report = check.examine(case, options.allow)
    print(check_report.text(report))
    if options.json:
        write_report(report, options.json)
    if options.fix_to is None:
        print(f"\n{check_report.advice(report, f'--data {path}' if is_layout(path) else '')}")
    elif not (report.faults or report.note):
        write_sound(case, options.fix_to)
    elif not write_repaired(case, options.fix_to, options):
        return 1
    return 1 if report.faults else 0


def refuse_sources(path: Path, options: Check) -> None:
    """UserError: a file to be written exists already, or would overwrite one that is to be read."""
    if options.fix_to and options.fix_to.exists():
        raise UserError(f"--fix-to {options.fix_to} exists; give a new name, as no file is changed")
    if options.json:
        target = options.json.resolve()
        splits = [find_split(p, "train") for p in (path, options.against) if p and p.exists()]
        files = [p.resolve() for p in (path, options.against, options.fix_to, *(s.path for s in splits)) if p]
        folders = [p.resolve() for p in (options.images, options.against_images, *(s.images for s in splits)) if p]
        if target in files or any(target.is_relative_to(folder) for folder in folders):
            raise UserError(
                f"--json {options.json} is one of the files to be checked, or in their folder; choose another place"
            )


def open_cases(path: Path, options: Check) -> Case:
    """The file to check, with the file of the other split where one was given."""
    case, other = open_case(path, options.images), options.against
    if not other and is_layout(path):
        other = path if has_split(path, "val") else None
    if not other:
        return case
    against = open_case(other, options.against_images, split="val")
    return replace(case, against=replace(against, folder=against.folder or case.folder))


def has_split(path: Path, split: str) -> bool:
    """Returns whether a folder has images of a split."""
    try:
        find_split(path, split)
    except UserError:
        return False
    return True


def write_sound(case: Case, target: Path) -> None:
    """Writes a copy of a file that needs no repair: the same file, or the records of a folder as COCO's."""
    if is_layout(case.path):
        check.write_copy(case, target)
        print(f"\nsound: {printable(target)} has the records of {printable(case.path)}")
    else:
        check.write_same(case.path, target)
        print(f"\nsound: {printable(target)} is the same file")


def open_case(path: Path, images: Path | None, *, segmentations: bool = False, split: str = "train") -> Case:
    """Reads one file, and prints to the standard error if that takes a while. `segmentations` keeps them for a copy."""
    size = path.stat().st_size if path.is_file() else 0
    if size > LARGE:
        print(f"reading {printable(path)}, {size // 10**6} MB", file=sys.stderr, flush=True)
    case = check.open_case(path, images, segmentations=segmentations, progress=watched, split=split)
    if size > LARGE:
        print(f"checking {len(case.file['annotations'])} annotations", file=sys.stderr, flush=True)
    return case


def write_report(report: check.Report, path: Path) -> None:
    """Writes the report as JSON. UserError: the file cannot be written."""
    try:
        write_json(path, report.as_dict())
    except OSError as error:
        raise UserError(f"--json {path} cannot be written ({error.strerror}); choose another place") from None


def write_repaired(case: Case, target: Path, options: Check) -> bool:
    """Writes a repaired copy, checks it, and prints what was repaired and what remains. Returns whether it was written.

    It is not if a whole list would go, or, without --force, more than a tenth of the objects. Reads the file again, since the
    copy must contain its segmentation polygons.
    """
    whole = open_case(case.path, case.folder.root if case.folder else None, segmentations=True)
    whole = replace(whole, against=case.against, summary_cache=case.summary_cache)
    repairs, loss = check.repair_and_count(whole)
    if loss.emptied or (loss.harmful and not options.force):
        print(f"\n{check_report.refused(repairs, loss)}")
        return False
    check.write_copy(whole, target)
    remaining = check.examine(replace(whole, path=target), options.allow)
    print(f"\n{check_report.repaired(repairs, loss, remaining)}")
    return True
