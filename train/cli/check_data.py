"""`python -m train check`: reports every fault of a COCO instances file and its images, and writes a repaired copy."""

import sys
import warnings
from dataclasses import replace
from pathlib import Path

from core.data import check
from core.data.check.case import Case
from core.data.coco.folder import images_of
from core.errors import UserError
from core.files import write_json
from core.progress import watched
from train.cli import check_report
from train.cli.check_flags import Check

LARGE = 20_000_000  # bytes from which reading a file takes more than a moment


def run(path: Path, asked: Check) -> int:
    """Checks one file; returns the exit code: 0 sound, 1 with faults. UserError: a file that cannot be read or written."""
    warnings.filterwarnings("ignore", module="PIL")  # about odd metadata of images that can be read
    sys.stdout.reconfigure(errors="backslashreplace")  # a name may hold what a terminal cannot show
    refuse_sources(path, asked)
    case = open_cases(path, asked)
    report = check.examine(case, asked.allow)
    print(check_report.text(report))
    if asked.json:
        write_report(report, asked.json)
    if report.faults and asked.fix_to:
        write_repaired(case, asked.fix_to, asked)
    else:
        print(f"\n{check_report.advice(report)}")
    return 1 if report.faults else 0


def refuse_sources(path: Path, asked: Check) -> None:
    """UserError: a file to be written exists already, or would take the place of one that is to be read."""
    if asked.fix_to and asked.fix_to.exists():
        raise UserError(f"--fix-to {asked.fix_to} exists; give a new name, as no file is changed")
    if asked.json:
        target = asked.json.resolve()
        files = [p.resolve() for p in (path, asked.against, asked.fix_to) if p]
        usual = [images_of(p) for p in (path, asked.against) if p]
        folders = [p.resolve() for p in (asked.images, asked.against_images, *usual) if p]
        if target in files or any(target.is_relative_to(folder) for folder in folders):
            raise UserError(f"--json {asked.json} is, or is among, what is to be checked; choose another place")


def open_cases(path: Path, asked: Check) -> Case:
    """The file to check, with the file of the other split where one was given."""
    case = open_case(path, asked.images)
    if not asked.against:
        return case
    against = open_case(asked.against, asked.against_images)
    return replace(case, against=replace(against, folder=against.folder or case.folder))


def open_case(path: Path, images: Path | None, *, outlines: bool = False) -> Case:
    """Reads one file; says so on the standard error where it is large. `outlines` keeps the segmentation polygons."""
    size = path.stat().st_size if path.is_file() else 0
    if size > LARGE:
        print(f"reading {path}, {size // 10**6} MB", file=sys.stderr, flush=True)
    case = check.open_case(path, images, outlines=outlines, watch=watched)
    if size > LARGE:
        print(f"checking {len(case.file['annotations'])} annotations", file=sys.stderr, flush=True)
    return case


def write_report(report: check.Report, path: Path) -> None:
    """Writes the report as JSON. UserError: the file cannot be written."""
    try:
        write_json(path, report.plain())
    except OSError as error:
        raise UserError(f"--json {path} cannot be written ({error.strerror}); choose another place") from None


def write_repaired(case: Case, target: Path, asked: Check) -> None:
    """Writes a repaired copy, checks it, and prints what was repaired and what remains.

    Reads the file again, since the copy must contain its segmentation polygons.
    """
    whole = open_case(case.path, case.folder and case.folder.root, outlines=True)
    whole = replace(whole, against=case.against, looks=case.looks)
    repairs = list(check.mend(whole))
    check.write_new(whole, target)
    remaining = check.examine(replace(whole, path=target), asked.allow)
    print(f"\n{check_report.repaired(repairs, remaining)}")
