"""Checks records by themselves, by the rules of core.data.coco.rules, which training requires too."""

from collections.abc import Iterator
from itertools import count

from core.data.check.case import Case
from core.data.check.repairs import list_ids
from core.data.coco.faults import Fault
from core.data.coco.rules import SINGULAR, annotation_violations, is_box, is_integer, valid_ids


def find(case: Case) -> Iterator[Fault]:
    """The faults of records by themselves."""
    yield from case.record_faults


def repair(case: Case) -> Iterator[str]:
    """Repairs broken annotations, and removes those that cannot be repaired. Afterwards every record is an object with an id."""
    positions = {f.place[1] for f in case.record_faults if f.place and f.place[0] == "annotations"}
    broken = [case.file["annotations"][position] for position in sorted(positions)]
    broken = [record for record in broken if type(record) is dict]
    yield from remove_copies(case)
    yield from remove_without_id(case)
    known = {f"{SINGULAR[section]}_id": valid_ids(case.file[section]) for section in ("images", "categories")}
    yield from correct_negative_sizes(broken)
    yield from replace_areas(broken)
    yield from remove_unusable(case, [a for a in broken if wrong_fields(a, known) - {"id", "area"}])
    yield from renumber(case)


def wrong_fields(annotation: dict, known: dict[str, set[int]]) -> set[str]:
    """The fields of an annotation that break a rule."""
    return {key for _, key, _ in annotation_violations(annotation, known)}


def remove_copies(case: Case) -> Iterator[str]:
    """Removes records that are no objects, and exact copies of an earlier record."""
    for section in SINGULAR:
        first: dict[int, dict] = {}
        records = [r for r in case.file[section] if type(r) is dict]
        records = [r for r in records if not (is_integer(r.get("id")) and is_copy(r, first))]
        if removed := len(case.file[section]) - len(records):
            yield f"removed, because they are not objects, or are exact copies of another: {removed} of {section}"
        case.file[section] = records


def is_copy(record: dict, first: dict[int, dict]) -> bool:
    """Returns whether the record equals the first one with its id. Adds it to `first` if there was none."""
    other = first.setdefault(record["id"], record)
    return other is not record and other == record


def remove_without_id(case: Case) -> Iterator[str]:
    """Removes images and classes without a valid id, to which no annotation can refer."""
    for section in ("images", "categories"):
        records = [record for record in case.file[section] if is_integer(record.get("id"))]
        if removed := len(case.file[section]) - len(records):
            yield f"removed, because without an id no annotation can refer to them: {removed} of {section}"
        case.file[section] = records


def correct_negative_sizes(broken: list[dict]) -> Iterator[str]:
    """Makes the sizes of boxes positive that were drawn from right to left, or upwards."""
    annotations = [a for a in broken if is_box(box := a.get("bbox")) and min(box[2:]) < 0]
    for annotation in annotations:
        x, y, width, height = annotation["bbox"]
        annotation["bbox"] = [x + min(width, 0), y + min(height, 0), abs(width), abs(height)]
    if annotations:
        yield f"made negative sizes of boxes positive: {list_ids('annotation', id_texts(annotations))}"


def replace_areas(broken: list[dict]) -> Iterator[str]:
    """Replaces areas that are no numbers by the area of the box."""
    annotations = [a for a in broken if is_box(a.get("bbox")) and "area" in wrong_fields(a, {})]
    for annotation in annotations:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    if annotations:
        yield f"replaced the area by that of the box: {list_ids('annotation', id_texts(annotations))}"


def remove_unusable(case: Case, unusable: list[dict]) -> Iterator[str]:
    """Removes the given annotations."""
    removed = {id(record) for record in unusable}
    case.file["annotations"] = [a for a in case.file["annotations"] if id(a) not in removed]
    if unusable:
        ids = list_ids("annotation", id_texts(unusable))
        yield f"removed, because the image, class, box or crowd flag is missing or wrong: {ids}"


def renumber(case: Case) -> Iterator[str]:
    """Gives new ids, above the largest, to annotations without a valid id, or with the id of an earlier one."""
    new_ids = count(max(valid_ids(case.file["annotations"]), default=0) + 1)
    used: set[int] = set()
    renumbered = []
    for annotation in case.file["annotations"]:
        old = annotation.get("id")
        if not is_integer(old) or old in used:
            annotation["id"] = next(new_ids)
            renumbered.append(annotation)
        used.add(annotation["id"])
    if renumbered:
        ids = list_ids("annotation", id_texts(renumbered))
        yield f"gave a new id, because it had none or that of another: {ids}"


def id_texts(annotations: list[dict]) -> list[str]:
    """The ids of annotations as texts for a sentence."""
    return [str(a["id"]) if is_integer(a.get("id")) else "without an id" for a in annotations]
