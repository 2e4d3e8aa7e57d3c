"""Helpers of several repairs: removing records, and listing ids in a sentence."""

from collections.abc import Iterable, Iterator

from core.data.check.case import Case

SHOWN = 5  # ids that a sentence lists


def list_ids(kind: str, ids: Iterable) -> str:
    """A phrase such as "annotations 3, 8, 9, 10, 11 and 12 more"."""
    ids = [str(id) for id in ids]
    rest = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f"{kind}{'s' if len(ids) > 1 else ''} {', '.join(ids[:SHOWN])}{rest}"


def remove(case: Case, section: str, ids: Iterable, reason: str) -> Iterator[str]:
    """Removes the records with these ids from a list of the file, and with an image its annotations."""
    removed = {int(id) for id in ids}
    if not removed:
        return
    before = len(case.file["annotations"])
    case.file[section] = [record for record in case.file[section] if record["id"] not in removed]
    if section == "images":
        case.file["annotations"] = [a for a in case.file["annotations"] if a["image_id"] not in removed]
    with_them = f", with {before - len(case.file['annotations'])} annotations" if section == "images" else ""
    yield f"removed, because {reason}: {list_ids(section.removesuffix('s'), sorted(removed))}{with_them}"
