"""The report of `python -m train check` as text."""

from itertools import groupby

from core.data.check import Loss, Report
from core.data.coco.faults import KINDS, Fault
from core.data.coco.limits import RECIPES
from core.terminal import printable

SHOWN = 5  # faults of each kind
CLASSES = 100  # rows of the table of classes
HEAD = ("class", "boxes", "small", "medium", "large", "images")


def text(report: Report) -> str:
    """The whole report but its last line: statistics, classes, faults and notices, with a blank line between parts."""
    parts = [counts(report), class_table(report.table["classes"]), *fault_blocks(report, report.faults)]
    if report.notices:
        parts += ["Worth knowing, but not counted as faults:", *fault_blocks(report, report.notices)]
    if report.limits:
        size = f"{RECIPES.queries} queries and {RECIPES.short} x {RECIPES.longest} pixels"
        parts.append(
            "\n".join(
                [f"Beyond the recipes coco*, with {size}:", *(printable(f"  {limit}") for limit in report.limits)]
            )
        )
    return "\n\n".join(parts)


def counts(report: Report) -> str:
    """The statistics of the file, a line each."""
    t = report.table
    images = report.images or "no images were checked; --images FOLDER names their folder"
    rows = {
        "annotations": report.path,
        "images": f"{t['images']}, {t['images_without_boxes']} of them without a box; {images}",
        "boxes": f"{t['boxes']}, and {t['crowd']} crowd regions",
        "boxes per image": value_range(t["boxes_per_image"]),
        "image width": value_range(t["image_width"]),
        "image height": value_range(t["image_height"]),
        "box width": value_range(t["box_width"]),
        "box height": value_range(t["box_height"]),
    }
    if t["broken"]:
        rows["not counted"] = f"{t['broken']} broken records"
    if report.note:
        rows["note"] = report.note
    return "\n".join(f"{title:<15} {printable(value)}" for title, value in rows.items())


def value_range(values: list[float] | None) -> str:
    """Minimum, maximum and median as a phrase."""
    return f"{values[0]:g} to {values[2]:g}, median {values[1]:g}" if values else "none"


def class_table(rows: list[dict]) -> str:
    """The number of boxes of each class, in all and by COCO's areas: small below 32 x 32 pixels, large from 96 x 96."""
    cells = [HEAD, *((one_line(c["name"]), *(str(c[key]) for key in HEAD[1:])) for c in rows[:CLASSES])]
    width = max(len(row[0]) for row in cells)
    lines = [f"{row[0]:<{width}}" + "".join(f"{cell:>9}" for cell in row[1:]) for row in cells]
    hidden = len(rows) - CLASSES
    return "\n".join(lines + ([f"and {hidden} more classes, in the report that --json writes"] if hidden > 0 else []))


def one_line(name: str, most: int = 30) -> str:
    """The name, with escapes for what a terminal cannot show, cut to `most` characters."""
    name = printable(name)
    return name if len(name) <= most else name[: most - 3] + "..."


def fault_blocks(report: Report, faults: tuple[Fault, ...]) -> list[str]:
    """A block of lines for each kind of fault that occurs, in the order of KINDS."""
    kinds = list(KINDS)
    ordered = sorted(faults, key=lambda fault: kinds.index(fault.kind))
    return [fault_block(report, kind, list(group)) for kind, group in groupby(ordered, key=lambda fault: fault.kind)]


def fault_block(report: Report, kind: str, faults: list[Fault]) -> str:
    """The kind of fault with its number, and the first faults, a line each."""
    lines = [f"{kind}, {len(faults)}: {KINDS[kind]}"]
    lines += [printable(f"  {report.path}: {fault}") for fault in faults[:SHOWN]]
    hidden = len(faults) - SHOWN
    return "\n".join(lines + ([f"  and {hidden} more, in the report that --json writes"] if hidden > 0 else []))


def advice(report: Report, data: str = "") -> str:
    """The last line: what to do next. `data` are the flags that name the data, if it is not one file."""
    if not report.faults:
        data = data or f"--data.train {report.path} --data.val ..."
        return printable(f"sound: train with python -m train fit coco {data}")
    number = number_of_faults(report.faults)
    return f"{number} found; for a repaired copy add --fix-to NEW_FILE; to accept a kind of fault add --allow KIND"


def number_of_faults(faults: tuple[Fault, ...]) -> str:
    """The number of faults as a phrase: "1 fault", "2 faults"."""
    return f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"


def repaired(repairs: list[str], loss: Loss, remaining: Report) -> str:
    """The repairs, the objects lost, the faults that remain in the copy, and the command that checks it again."""
    done = "\n".join(["Repaired:", *(printable(f"  {repair}") for repair in repairs or ["nothing"])])
    rest = ["Could not be repaired:", *fault_blocks(remaining, remaining.faults)] if remaining.faults else []
    images = f" --images {remaining.images}" if remaining.images else ""
    state = f"with {number_of_faults(remaining.faults)} left" if remaining.faults else "sound"
    written = f"written: {remaining.path}, {state}; see python -m train check {remaining.path}{images}"
    return "\n\n".join([done, f"dropped: {loss.dropped} of {loss.objects} objects", *rest, printable(written)])


def refused(repairs: list[str], loss: Loss) -> str:
    """The repairs that would be made, and why no copy was written."""
    done = "\n".join(["Repairs that were not made:", *(printable(f"  {repair}") for repair in repairs)])
    objects = f"{loss.dropped} of {loss.objects} objects would be dropped"
    if loss.emptied:
        reason = f"nothing would be left of the {loss.emptied} ({objects}); export the annotations again"
    else:
        reason = f"{objects}, more than a tenth; correct what is wrong with them, or add --force to drop them"
    return f"{done}\n\nnot written: {reason}"
