"""The report of `python -m train check` as text."""

from itertools import groupby

from core.data.check import Report
from core.data.coco.faults import KINDS, Fault

SHOWN = 5  # faults of a kind
CLASSES = 100  # rows of the table
HEAD = ("class", "boxes", "small", "medium", "large", "images")


def text(report: Report) -> str:
    parts = [counts(report), classes(report.table["classes"]), *blocks(report, report.faults)]
    if report.notices:
        parts += ["Worth knowing, and no fault:", *blocks(report, report.notices)]
    return "\n\n".join(parts)


def counts(report: Report) -> str:
    t = report.table
    images = report.images or "no folder of images was looked at; --images FOLDER names one"
    rows = {
        "annotations": report.path,
        "images": f"{t['images']}, {t['images_without_boxes']} of them without a box; {images}",
        "boxes": f"{t['boxes']}, and {t['crowd']} crowd regions",
        "boxes an image": spread(t["boxes_per_image"]),
        "image width": spread(t["image_width"]),
        "image height": spread(t["image_height"]),
        "box width": spread(t["box_width"]),
        "box height": spread(t["box_height"]),
    }
    if t["broken"]:
        rows["not counted"] = f"{t['broken']} records that are broken"
    return "\n".join(f"{title:<15} {said}" for title, said in rows.items())


def spread(values: list[float] | None) -> str:
    return f"{values[0]:g} to {values[2]:g}, half of them up to {values[1]:g}" if values else "none"


def classes(found: list[dict]) -> str:
    """Boxes by COCO's areas: small to 32 x 32 pixels, large from 96 x 96."""
    rows = [HEAD, *((line(c["name"]), *(str(c[key]) for key in HEAD[1:])) for c in found[:CLASSES])]
    width = max(len(row[0]) for row in rows)
    lines = [f"{row[0]:<{width}}" + "".join(f"{cell:>9}" for cell in row[1:]) for row in rows]
    more = len(found) - CLASSES
    return "\n".join(lines + ([f"and {more} more classes, in the report that --json writes"] if more > 0 else []))


def line(name: str, most: int = 30) -> str:
    """What cannot be shown as it is, is escaped."""
    name = name if name.isprintable() else repr(name)[1:-1]
    return name if len(name) <= most else name[: most - 3] + "..."


def blocks(report: Report, faults: tuple[Fault, ...]) -> list[str]:
    kinds = list(KINDS)
    ordered = sorted(faults, key=lambda fault: kinds.index(fault.kind))
    return [block(report, kind, list(group)) for kind, group in groupby(ordered, key=lambda fault: fault.kind)]


def block(report: Report, kind: str, faults: list[Fault]) -> str:
    lines = [f"{kind}, {len(faults)}: {KINDS[kind]}"]
    lines += [f"  {report.path}: {fault}" for fault in faults[:SHOWN]]
    more = len(faults) - SHOWN
    return "\n".join(lines + ([f"  and {more} more, in the report that --json writes"] if more > 0 else []))


def advice(report: Report) -> str:
    """The last line: what to do next."""
    if not report.faults:
        return f"sound: train with python -m train fit coco --data.train {report.path} --data.val ..."
    return f"{many(report.faults)}; for a repaired copy add --fix-to NEW_FILE, and --allow KIND for what is meant so"


def many(faults: tuple[Fault, ...]) -> str:
    return f"{len(faults)} fault{'s' if len(faults) > 1 else ''} found"


def repaired(repairs: list[str], remaining: Report) -> str:
    """What was repaired, what could not be, and how to look again."""
    done = "\n".join(["Repaired:", *(f"  {repair}" for repair in repairs or ["nothing"])])
    rest = ["Could not be repaired:", *blocks(remaining, remaining.faults)] if remaining.faults else []
    images = f" --images {remaining.images}" if remaining.images else ""
    state = f"{many(remaining.faults)} in it still" if remaining.faults else "sound"
    return "\n\n".join(
        [done, *rest, f"written: {remaining.path}, {state}; see python -m train check {remaining.path}{images}"]
    )
