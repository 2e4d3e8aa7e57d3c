"""The rules of an instances file, record by record: the loader stops at the first fault, the doctor takes them all."""

import re
from collections.abc import Callable, Iterator

from core.data.coco.faults import Fault, brief

ONE = {"categories": "category", "images": "image", "annotations": "annotation"}
OUTSIDE = re.compile(r"^/|(^|/)\.\.(/|$)|[\\\x00-\x1f\ud800-\udfff]")  # absolute, climbing, or no name for a file
LARGEST = 2**53  # beyond it neighbouring whole numbers are one float

WHOLE, POSITIVE, TEXT = "it must be a whole number", "it must be a whole number above 0", "it must be a text"
INSIDE = "it must be a path inside the folder of images"
BOX = "it must be [x, y, width, height], without NaN or a negative size"
Broken = Iterator[tuple[str, str, str]]  # (kind of fault, field, rule)


def faults(file: dict) -> Iterator[Fault]:
    """Of every record by itself, and of ids that are taken or that lead nowhere."""
    for section in ("images", "categories"):
        if not file[section]:
            yield Fault("record", "the file", f"has an empty list of {section}; add at least one")
    yield from faults_of("categories", file["categories"], of_category)
    yield from same_names(file["categories"])
    yield from faults_of("images", file["images"], of_image)
    known = {f"{ONE[section]}_id": ids(file[section]) for section in ("images", "categories")}
    yield from faults_of("annotations", file["annotations"], lambda record: of_annotation(record, known))


def faults_of(section: str, records: list, rules: Callable[[dict], Broken]) -> Iterator[Fault]:
    first: dict[int, int] = {}
    for place, record in enumerate(records):
        if type(record) is not dict:
            text = f"is {brief(record)}; it must be an object with fields"
            yield Fault("record", f"{section}[{place}]", text, (section, place))
            continue
        for kind, key, rule in rules(record):
            yield Fault(kind, named(section, place, record), f"has {shown(record, key)}; {rule}", (section, place))
        id = record.get("id")
        if is_whole(id) and first.setdefault(id, place) != place:
            text = f"is given twice, in {section}[{first[id]}] and {section}[{place}]; give each its own"
            yield Fault("twice", f"{ONE[section]} id {id}", text, (section, place))


def same_names(categories: list) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for place, record in enumerate(categories):
        name = record.get("name") if type(record) is dict else None
        if type(name) is str and first.setdefault(name, place) != place:
            text = f"is given twice, in categories[{first[name]}] and categories[{place}]; give each its own"
            yield Fault("twice", f"category name {brief(name)}", text, ("categories", place))


def of_category(record: dict) -> Broken:
    if not is_whole(record.get("id")):
        yield "record", "id", WHOLE
    if not is_text(record.get("name")):
        yield "field", "name", TEXT


def of_image(record: dict) -> Broken:
    if not is_whole(record.get("id")):
        yield "record", "id", WHOLE
    for key in ("height", "width"):
        if not is_whole(record.get(key), 1):
            yield "field", key, POSITIVE
    if not is_text(name := record.get("file_name")):
        yield "field", "file_name", TEXT
    elif OUTSIDE.search(name):
        yield "path", "file_name", INSIDE


def of_annotation(record: dict, known: dict[str, set[int]]) -> Broken:
    if not is_whole(record.get("id")):
        yield "record", "id", WHOLE
    for key, there in known.items():
        if not is_whole(id := record.get(key)):
            yield "field", key, WHOLE
        elif id not in there:
            kind = key.removesuffix("_id")
            yield "unknown", key, f"no {kind} has that id; add the {kind} or remove the annotation"
    box = record.get("bbox")
    if not (is_box(box) and box[2] >= 0 and box[3] >= 0):
        yield "box", "bbox", BOX
    if not is_number(record.get("area", 0)):
        yield "field", "area", "it must be a number, or left out"
    if record.get("iscrowd", 0) not in (0, 1):
        yield "field", "iscrowd", "it must be 0 or 1, or left out"


def ids(records: list) -> set[int]:
    """What annotations may refer to."""
    found = (record.get("id") for record in records if type(record) is dict)
    return {id for id in found if is_whole(id)}


def is_whole(value, least: int = -LARGEST) -> bool:
    return type(value) is int and least <= value <= LARGEST


def is_text(value) -> bool:
    return type(value) is str and value != ""


def is_number(value) -> bool:
    return type(value) in (int, float) and -LARGEST < value < LARGEST


def is_box(value) -> bool:
    return type(value) is list and len(value) == 4 and all(map(is_number, value))


def named(section: str, place: int, record: dict) -> str:
    if not is_whole(id := record.get("id")):
        return f"{section}[{place}]"
    image = record.get("image_id") if section == "annotations" else None
    return f"{ONE[section]} {id} (image {image})" if is_whole(image) else f"{ONE[section]} {id}"


def shown(record: dict, key: str) -> str:
    return f"{key} {brief(record[key])}" if key in record else f"no {key}"
