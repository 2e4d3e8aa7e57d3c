"""What the repairs of a file have in common."""

from collections.abc import Iterable, Iterator

from core.data.check.case import Case

SHOWN = 5


def some(kind: str, ids: Iterable) -> str:
    """As in "annotations 3, 8 and 12 more"."""
    ids = [str(id) for id in ids]
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f"{kind}{'s' if len(ids) > 1 else ''} {', '.join(ids[:SHOWN])}{more}"


def left_out(case: Case, section: str, ids: Iterable, why: str) -> Iterator[str]:
    """Takes records out of the file; with an image go its annotations."""
    gone = {int(id) for id in ids}
    if not gone:
        return
    before = len(case.file["annotations"])
    case.file[section] = [record for record in case.file[section] if record["id"] not in gone]
    if section == "images":
        case.file["annotations"] = [a for a in case.file["annotations"] if a["image_id"] not in gone]
    more = f", with {before - len(case.file['annotations'])} annotations" if section == "images" else ""
    yield f"left out, as {why}: {some(section.removesuffix('s'), sorted(gone))}{more}"
