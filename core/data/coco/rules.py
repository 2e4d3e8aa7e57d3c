"""The rules that each record of an instances file must obey. Training stops at the first fault; `check` reports all."""

import re
from collections.abc import Callable, Iterator
from itertools import chain
from math import isnan
from typing import TypeGuard

from core.data.coco.faults import Fault, quoted

SINGULAR = {"categories": "category", "images": "image", "annotations": "annotation"}
UNSAFE_PATH = re.compile(r"^/|(^|/)\.\.(/|$)|[\\\x00-\x1f\ud800-\udfff]")  # absolute, with .., or no name of a file
LARGEST_INTEGER = 2**53  # beyond it two neighbouring whole numbers become the same float

WHOLE, POSITIVE, TEXT = (
    "it must be a whole number",
    "it must be a whole number above 0",
    "it must be a non-empty string",
)
INSIDE = "it must be a path inside the folder of images"
BOX = "it must be [x, y, width, height], without NaN or a negative size"
Violations = Iterator[tuple[str, str, str]]  # (kind of fault, field, rule)


def find_faults(file: dict) -> Iterator[Fault]:
    """The faults of records by themselves, ids and class names that are given twice, and references to ids that do not exist."""
    for section in ("images", "categories"):
        if not file[section]:
            yield Fault("record", "the file", f"has an empty list of {section}; add at least one")
    yield from faults_in("categories", file["categories"], category_violations)
    yield from repeated_names(file["categories"])
    yield from faults_in("images", file["images"], image_violations)
    known = {f"{SINGULAR[section]}_id": valid_ids(file[section]) for section in ("images", "categories")}
    if not are_sound(file["annotations"], known):
        yield from faults_in("annotations", file["annotations"], lambda record: annotation_violations(record, known))


def faults_in(section: str, records: list, violations: Callable[[dict], Violations]) -> Iterator[Fault]:
    """The faults of one list of the file: records that are no objects or break a rule, and ids that are given twice."""
    first: dict[int, int] = {}
    for index, record in enumerate(records):
        if type(record) is not dict:
            text = f"is {quoted(record)}; it must be an object with fields"
            yield Fault("record", f"{section}[{index}]", text, (section, index))
            continue
        for kind, key, rule in violations(record):
            text = f"has {field_text(record, key)}; {rule}"
            yield Fault(kind, record_name(section, index, record), text, (section, index))
        id = record.get("id")
        if is_integer(id) and first.setdefault(id, index) != index:
            text = f"is given twice, in {section}[{first[id]}] and {section}[{index}]; give each its own"
            yield Fault("twice", f"{SINGULAR[section]} id {id}", text, (section, index))


def repeated_names(categories: list) -> Iterator[Fault]:
    """The faults of classes that have the name of an earlier one."""
    first: dict[str, int] = {}
    for index, record in enumerate(categories):
        name = record.get("name") if type(record) is dict else None
        if type(name) is str and first.setdefault(name, index) != index:
            text = f"is given twice, in categories[{first[name]}] and categories[{index}]; give each its own"
            yield Fault("twice", f"category name {quoted(name)}", text, ("categories", index))


def category_violations(record: dict) -> Violations:
    """The rules that the record of a class breaks."""
    if not is_integer(record.get("id")):
        yield "record", "id", WHOLE
    if not is_text(record.get("name")):
        yield "field", "name", TEXT


def image_violations(record: dict) -> Violations:
    """The rules that the record of an image breaks. Its file is not looked at."""
    if not is_integer(record.get("id")):
        yield "record", "id", WHOLE
    for key in ("height", "width"):
        if not is_integer(record.get(key), 1):
            yield "field", key, POSITIVE
    name = record.get("file_name")
    if not is_text(name):
        yield "field", "file_name", TEXT
    elif UNSAFE_PATH.search(name):
        yield "path", "file_name", INSIDE


def annotation_violations(record: dict, known: dict[str, set[int]]) -> Violations:
    """The rules that an annotation breaks. `known` holds the ids to which its fields image_id and category_id may refer."""
    if not is_integer(record.get("id")):
        yield "record", "id", WHOLE
    for key, allowed in known.items():
        id = record.get(key)
        if not is_integer(id):
            yield "field", key, WHOLE
        elif id not in allowed:
            target = key.removesuffix("_id")
            yield "unknown", key, f"no {target} has that id; add the {target} or remove the annotation"
    box = record.get("bbox")
    if not (is_box(box) and box[2] >= 0 and box[3] >= 0):
        yield "box", "bbox", BOX
    if not is_number(record.get("area", 0)):
        yield "field", "area", "it must be a number, or left out"
    if record.get("iscrowd", 0) not in (0, 1):
        yield "field", "iscrowd", "it must be 0 or 1, or left out"


def are_sound(annotations: list, known: dict[str, set[int]]) -> bool:
    """Returns whether no annotation breaks a rule or repeats an id; False also for some sound ones that are written unusually.

    It looks at whole columns, which takes a fraction of the time that looking at each record takes.
    """
    if set(map(type, annotations)) - {dict}:
        return False
    ids, boxes = column(annotations, "id"), column(annotations, "bbox")
    references = {key: column(annotations, key) for key in known}
    return (
        are_integers(ids)
        and len(set(ids)) == len(ids)
        and all(are_integers(x) and known[key].issuperset(x) for key, x in references.items())
        and are_boxes(boxes)
        and all(min(box[2:]) >= 0 for box in boxes)
        and are_numbers(column(annotations, "area", 0))
        and set(map(type, flags := column(annotations, "iscrowd", 0))) <= {int, bool}
        and set(flags) <= {0, 1}
    )


def column(records: list[dict], key: str, default: object = None) -> list:
    """The values of a field in all records, with the default where one lacks it."""
    return [record.get(key, default) for record in records]


def are_integers(values: list) -> bool:
    """Returns whether `is_integer` is true for all values."""
    return set(map(type, values)) <= {int} and (not values or is_integer(min(values)) and is_integer(max(values)))


def are_boxes(values: list) -> bool:
    """Returns whether `is_box` is true for all values."""
    alike = set(map(type, values)) <= {list} and set(map(len, values)) <= {4}
    return alike and are_numbers(list(chain.from_iterable(values)))


def are_numbers(values: list) -> bool:
    """Returns whether `is_number` is true for all values. Their sum is not NaN if none is."""
    if not values or set(map(type, values)) - {int, float}:
        return not values
    return is_number(min(values)) and is_number(max(values)) and not isnan(sum(values))


def valid_ids(records: list) -> set[int]:
    """The ids of the records that are whole numbers: annotations may refer to these."""
    ids = (record.get("id") for record in records if type(record) is dict)
    return {id for id in ids if is_integer(id)}


def is_integer(value: object, least: int = -LARGEST_INTEGER) -> TypeGuard[int]:
    """Returns whether a value is a whole number, `least` or more, that a float can hold exactly. True and 1.0 are not."""
    return type(value) is int and least <= value <= LARGEST_INTEGER


def is_text(value: object) -> TypeGuard[str]:
    """Returns whether a value is a string with at least one character."""
    return type(value) is str and value != ""


def is_number(value: object) -> TypeGuard[int | float]:
    """Returns whether a value is a finite number. True is not."""
    return type(value) in (int, float) and -LARGEST_INTEGER < value < LARGEST_INTEGER  # type: ignore[operator]  # a number


def is_box(value: object) -> TypeGuard[list[float]]:
    """Returns whether a value is a list of four numbers."""
    return type(value) is list and len(value) == 4 and all(map(is_number, value))


def record_name(section: str, index: int, record: dict) -> str:
    """The name of a record in messages: "annotation 17 (image 4)", or "annotations[2]" if it has no valid id."""
    if not is_integer(id := record.get("id")):
        return f"{section}[{index}]"
    image = record.get("image_id") if section == "annotations" else None
    return f"{SINGULAR[section]} {id} (image {image})" if is_integer(image) else f"{SINGULAR[section]} {id}"


def field_text(record: dict, key: str) -> str:
    """The field and its value, or "no ..." if it is missing."""
    return f"{key} {quoted(record[key])}" if key in record else f"no {key}"
