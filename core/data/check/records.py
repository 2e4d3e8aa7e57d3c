"""Records by themselves: the rules that the loader goes by too."""

from collections.abc import Iterator
from itertools import count

from core.data.check.case import Case
from core.data.check.repairs import some
from core.data.coco.faults import Fault
from core.data.coco.rules import ONE, ids, is_box, is_whole, of_annotation


def find(case: Case) -> Iterator[Fault]:
    yield from case.broken


def mend(case: Case) -> Iterator[str]:
    places = {f.place[1] for f in case.broken if f.place and f.place[0] == "annotations"}
    broken = [case.file["annotations"][place] for place in sorted(places)]
    broken = [record for record in broken if type(record) is dict]
    yield from copies(case)
    yield from nameless(case)
    known = {f"{ONE[section]}_id": ids(case.file[section]) for section in ("images", "categories")}
    yield from turned_over(broken)
    yield from measured(broken)
    yield from hopeless(case, [record for record in broken if wrong(record, known) - {"id", "area"}])
    yield from numbered(case)


def wrong(record: dict, known: dict[str, set[int]]) -> set[str]:
    """The fields that break a rule."""
    return {key for _, key, _ in of_annotation(record, known)}


def copies(case: Case) -> Iterator[str]:
    for section in ONE:
        first: dict[int, dict] = {}
        kept = [r for r in case.file[section] if type(r) is dict and not (is_whole(r.get("id")) and copied(r, first))]
        if gone := len(case.file[section]) - len(kept):
            yield f"left out, as no objects or exact copies of another: {gone} of {section}"
        case.file[section] = kept


def copied(record: dict, first: dict[int, dict]) -> bool:
    other = first.setdefault(record["id"], record)
    return other is not record and other == record


def nameless(case: Case) -> Iterator[str]:
    for section in ("images", "categories"):
        kept = [record for record in case.file[section] if is_whole(record.get("id"))]
        if gone := len(case.file[section]) - len(kept):
            yield f"left out, as without an id no annotation can mean them: {gone} of {section}"
        case.file[section] = kept


def turned_over(broken: list[dict]) -> Iterator[str]:
    """A box drawn from the right to the left, or upwards."""
    found = [a for a in broken if is_box(box := a.get("bbox")) and min(box[2:]) < 0]
    for annotation in found:
        x, y, width, height = annotation["bbox"]
        annotation["bbox"] = [x + min(width, 0), y + min(height, 0), abs(width), abs(height)]
    if found:
        yield f"turned over boxes of negative size: {some('annotation', names(found))}"


def measured(broken: list[dict]) -> Iterator[str]:
    found = [a for a in broken if is_box(a.get("bbox")) and "area" in wrong(a, {})]
    for annotation in found:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    if found:
        yield f"took the area of the box: {some('annotation', names(found))}"


def hopeless(case: Case, broken: list[dict]) -> Iterator[str]:
    gone = {id(record) for record in broken}
    case.file["annotations"] = [a for a in case.file["annotations"] if id(a) not in gone]
    if broken:
        yield f"left out, for want of an image, class, box or crowd flag: {some('annotation', names(broken))}"


def numbered(case: Case) -> Iterator[str]:
    free, seen, found = count(max(ids(case.file["annotations"]), default=0) + 1), set(), []
    for annotation in case.file["annotations"]:
        old = annotation.get("id")
        if not is_whole(old) or old in seen:
            annotation["id"] = next(free)
            found.append(annotation)
        seen.add(annotation["id"])
    if found:
        yield f"gave a new id, as it had none or another's: {some('annotation', names(found))}"


def names(annotations: list[dict]) -> list[str]:
    return [str(a["id"]) if is_whole(a.get("id")) else "without an id" for a in annotations]
