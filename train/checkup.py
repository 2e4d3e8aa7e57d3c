"""Runs the COCO doctor, and says what it found."""

import sys
import warnings
from dataclasses import replace
from pathlib import Path

from core.data import doctor
from core.data.doctor.case import Case
from core.data.folder import images_of
from core.errors import UserError
from core.files import write_json
from train import findings
from train.check import Check
from train.watch import watched

LARGE = 20_000_000  # bytes of a file that takes more than a moment


def checkup(path: Path, asked: Check) -> int:
    """The exit code."""
    warnings.filterwarnings("ignore", module="PIL")  # about odd metadata of pictures that can be read
    sys.stdout.reconfigure(errors="backslashreplace")  # a name may hold what a terminal cannot show
    refuse_sources(path, asked)
    case = opened(path, asked)
    report = doctor.examine(case, asked.allow)
    print(findings.text(report))
    if asked.json:
        write(report, asked.json)
    if report.faults and asked.fix_to:
        fix(case, asked)
    else:
        print(f"\n{findings.advice(report)}")
    return 1 if report.faults else 0


def refuse_sources(path: Path, asked: Check) -> None:
    """UserError: what is to be written is there already, or would take the place of what is to be read."""
    if asked.fix_to and asked.fix_to.exists():
        raise UserError(f"--fix-to {asked.fix_to} exists; give a new name, as no file is changed")
    if asked.json:
        target = asked.json.resolve()
        files = [p.resolve() for p in (path, asked.against, asked.fix_to) if p]
        usual = [images_of(p) for p in (path, asked.against) if p]
        folders = [p.resolve() for p in (asked.images, asked.against_images, *usual) if p]
        if target in files or any(target.is_relative_to(folder) for folder in folders):
            raise UserError(f"--json {asked.json} is, or is among, what is to be checked; choose another place")


def opened(path: Path, asked: Check, *, outlines: bool = False) -> Case:
    case = reading(path, asked.images, outlines=outlines)
    if not asked.against:
        return case
    against = reading(asked.against, asked.against_images)
    return replace(case, against=replace(against, folder=against.folder or case.folder))


def reading(path: Path, images: Path | None, *, outlines: bool = False) -> Case:
    size = path.stat().st_size if path.is_file() else 0
    if size > LARGE:
        print(f"reading {path}, {size // 10**6} MB", file=sys.stderr, flush=True)
    case = doctor.open_case(path, images, outlines=outlines, watch=watched)
    if size > LARGE:
        print(f"checking {len(case.file['annotations'])} annotations", file=sys.stderr, flush=True)
    return case


def write(report: doctor.Report, path: Path) -> None:
    try:
        write_json(path, report.plain())
    except OSError as error:
        raise UserError(f"--json {path} cannot be written ({error.strerror}); choose another place") from None


def fix(case: Case, asked: Check) -> None:
    """Reads the file anew, since its outlines belong into the copy."""
    whole = reading(case.path, case.folder and case.folder.root, outlines=True)
    whole = replace(whole, against=case.against, looks=case.looks)
    deeds = list(doctor.mend(whole))
    doctor.write_new(whole, asked.fix_to)
    left = doctor.examine(replace(whole, path=asked.fix_to), asked.allow)
    print(f"\n{findings.mended(deeds, left)}")
