"""Corrects what an instances file writes in an unusual way, where it is unambiguous what is meant: ids as text, 240.0 for 240.

What is ambiguous, or means nothing, stays as it is; the rules of `core.data.coco.rules` then name it.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from core.data.coco.faults import quoted
from core.data.coco.folder import ImageFolder
from core.data.coco.outlines import box_of
from core.data.coco.rules import LARGEST_INTEGER, SINGULAR, are_integers, column, is_integer, is_number, is_text
from core.data.coco.turned import turned_images

WHOLE = re.compile(r"\s*-?\d{1,16}(\.0+)?\s*", re.ASCII)
NUMBER = re.compile(r"\s*-?\d{1,16}(\.\d+)?\s*", re.ASCII)
SHOWN = 6  # kinds of corrections that a note lists


class Corrections:
    """Counts corrections by their kind, and keeps the first example of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def add(self, kind: str, example: str) -> None:
        """Counts one correction."""
        self.counts[kind] += 1
        self.examples.setdefault(kind, example)

    def replace(self, section: str, record: dict, key: str, new: Any) -> None:
        """Sets a field of a record to what it means, and counts that."""
        self.add(f"{section}.{key}", f"{key} {quoted(record[key])} of {section} is read as {quoted(new)}")
        record[key] = new

    def note(self) -> str:
        """All corrections in one sentence; "" if there are none."""
        parts = [
            self.examples[kind] + (f" and {count - 1} more alike" if count > 1 else "")
            for kind, count in self.counts.items()
        ]
        rest = f"; and {len(parts) - SHOWN} more kinds" if len(parts) > SHOWN else ""
        return "; ".join(parts[:SHOWN]) + rest


def correct(file: dict, folder: ImageFolder | None = None) -> str:
    """Corrects the records of a file in place. Returns a note that says what was read as what; "" if nothing was changed.

    `folder` holds the images, so that names of files can be found in it; None leaves the names as they are.
    """
    records = {section: [r for r in file[section] if type(r) is dict] for section in SINGULAR}
    corrections = Corrections()
    correct_ids(records, corrections)
    correct_numbers(records, corrections)
    correct_class_names(records["categories"], corrections)
    add_boxes(records["annotations"], corrections)
    leave_out_group(file, records, corrections)
    if folder:
        correct_file_names(records["images"], folder, corrections)
        correct_turned_sizes(records, folder, corrections)
    return corrections.note()


def correct_ids(records: dict[str, list[dict]], corrections: Corrections) -> None:
    """Replaces ids that are texts, floats or huge, and what refers to them, by whole numbers."""
    for section in ("images", "categories"):
        key = f"{SINGULAR[section]}_id"
        references = foreign_ids(records["annotations"], key)
        if not references and are_integers(column(records[section], "id")):
            continue  # as in nearly all files
        own = id_numbers(records[section], references)
        set_ids(section, records[section], own, corrections)
        known = {r["id"] for r in records[section] if is_integer(r.get("id"))}
        for reference in references:
            number = whole_number(reference)
            if reference not in own and number in known:
                own |= {reference: number}
        for annotation in records["annotations"]:
            if is_foreign_id(old := annotation.get(key)) and old in own:
                corrections.replace("annotations", annotation, key, own[old])
    if not (foreign := foreign_ids(records["annotations"], "id")):
        return
    usual = any(is_integer(a.get("id")) for a in records["annotations"])
    own = id_numbers(records["annotations"], set() if usual else foreign)
    set_ids("annotations", records["annotations"], own, corrections)


def foreign_ids(records: list[dict], key: str) -> set:
    """The values of a field that are no valid ids, but might stand for one."""
    values = column(records, key)
    return set() if are_integers(values) else {value for value in values if is_foreign_id(value)}


def is_foreign_id(value: object) -> bool:
    """Returns whether a value is no valid id, but might stand for one: a text, a float or a huge whole number."""
    return type(value) in (str, float) or (type(value) is int and not is_integer(value))


def id_numbers(records: list[dict], references: set) -> dict[Any, int]:
    """The whole number of each foreign id of a list of records that has an unambiguous meaning.

    An id that means a number gets that number, unless another record has it too. Any other text, and a number that is too
    large, gets a number above all others, if `references` has at least one such id; or else nothing would be known of its use.
    """
    taken = {r["id"] for r in records if is_integer(r.get("id"))}
    foreign = list(dict.fromkeys(r["id"] for r in records if is_foreign_id(r.get("id"))))
    meant = {id: whole_number(id) for id in foreign}
    claims = Counter(n for n in meant.values() if n is not None)
    numbers = {id: n for id, n in meant.items() if n is not None and n not in taken and claims[n] == 1}
    names = [
        id
        for id in foreign
        if type(id) is int or (type(id) is str and id and id not in numbers and meant[id] not in taken)
    ]
    if any(name in references for name in names):
        first = max([0, *taken, *numbers.values()]) + 1
        numbers |= {name: first + k for k, name in enumerate(names)}
    return numbers


def set_ids(section: str, records: list[dict], numbers: dict[Any, int], corrections: Corrections) -> None:
    """Gives the records with a foreign id their whole number."""
    for record in records:
        if is_foreign_id(old := record.get("id")) and old in numbers:
            corrections.replace(section, record, "id", numbers[old])


def whole_number(value: object) -> int | None:
    """The whole number that a text such as "4" or "4.0", or a float such as 4.0, means; None if it means none."""
    if type(value) is str and WHOLE.fullmatch(value):
        value = float(value)
    if type(value) is float and value.is_integer() and abs(value) < LARGEST_INTEGER:
        return int(value)
    return None


def correct_numbers(records: dict[str, list[dict]], corrections: Corrections) -> None:
    """Replaces heights, widths, areas and crowd flags that are not written as numbers by the numbers that they mean."""
    for key in ("height", "width"):
        for image in records["images"] if not are_integers(column(records["images"], key)) else ():
            number = None if type(image.get(key)) is int else whole_number(image.get(key))
            if number is not None and number > 0:
                corrections.replace("images", image, key, number)
    flags, areas = (column(records["annotations"], key, 0) for key in ("iscrowd", "area"))
    if not {str, list} & {*map(type, flags), *map(type, areas)}:
        return
    for annotation in records["annotations"]:
        if type(flag := annotation.get("iscrowd", 0)) is str and whole_number(flag) in (0, 1):
            corrections.replace("annotations", annotation, "iscrowd", whole_number(flag))
        area = annotation.get("area", 0)
        if type(area) is list and len(area) == 1 and is_number(area[0]):
            corrections.replace("annotations", annotation, "area", area[0])
        elif type(area) is str and NUMBER.fullmatch(area):
            corrections.replace("annotations", annotation, "area", float(area))


def correct_class_names(categories: list[dict], corrections: Corrections) -> None:
    """Replaces names of classes that are numbers by their text."""
    taken = {c["name"] for c in categories if is_text(c.get("name"))}
    for category in categories:
        name = category.get("name")
        if is_number(name) and str(name) not in taken:
            corrections.replace("categories", category, "name", str(name))


def add_boxes(annotations: list[dict], corrections: Corrections) -> None:
    """Gives annotations without a box the box of their outline."""
    if all(column(annotations, "bbox")):
        return
    for annotation in annotations:
        if lacks_box(annotation) and (box := box_of(annotation.get("segmentation"))):
            annotation["bbox"] = [round(number, 4) for number in box]
            corrections.add("bbox", f"annotations without bbox get that of their outline, such as {annotation['bbox']}")


def lacks_box(annotation: dict) -> bool:
    """Returns whether an annotation has no box at all, as where only its outline was drawn."""
    return annotation.get("bbox") in (None, [])


def leave_out_group(file: dict, records: dict[str, list[dict]], corrections: Corrections) -> None:
    """Removes a class that only groups the others, as Roboflow writes it: without boxes, and the supercategory of the others."""
    used = {id for a in records["annotations"] if type(id := a.get("category_id")) is int}
    for group in records["categories"]:
        others = [c for c in records["categories"] if c is not group]
        if others and is_group_of(group, others) and group["id"] not in used:
            file["categories"] = [c for c in file["categories"] if c is not group]
            corrections.add(
                "group", f"category {group['id']} {quoted(group['name'])} only groups the others, and is left out"
            )
            return


def is_group_of(group: dict, others: Iterable[dict]) -> bool:
    """Returns whether a class is the supercategory of all the others, and has none itself."""
    name, above = group.get("name"), group.get("supercategory")
    return (
        is_integer(group.get("id"))
        and is_text(name)
        and above in (None, "", "none")
        and all(c.get("supercategory") == name for c in others)
    )


def correct_file_names(images: list[dict], folder: ImageFolder, corrections: Corrections) -> None:
    """Replaces names that the folder lacks by the one file that each can mean, unless another record means it too."""
    names = list(dict.fromkeys(i["file_name"] for i in images if is_text(i.get("file_name"))))
    missing = [name for name in names if not folder.has(name)]
    replacements = {name: path for name in missing if (path := folder.find(name))}
    claims = Counter([*replacements.values(), *(name for name in names if name not in replacements)])
    for image in images:
        name = image.get("file_name")
        if is_text(name) and name in replacements and claims[replacements[name]] == 1:
            corrections.replace("images", image, "file_name", replacements[name])


def correct_turned_sizes(records: dict[str, list[dict]], folder: ImageFolder, corrections: Corrections) -> None:
    """Swaps height and width of photos whose boxes are those of the photo as its EXIF orientation shows it."""
    for image in turned_images(records["images"], records["annotations"], folder):
        image["height"], image["width"] = image["width"], image["height"]
        text = (
            f"boxes fit photos as EXIF turns them, so their width and height are swapped: {quoted(image['file_name'])}"
        )
        corrections.add("turned", text)


def keep_needed_outline(record: dict) -> dict:
    """The record without its outline, unless the outline is all that gives its box; a hook of the JSON parser."""
    if not ("segmentation" in record and lacks_box(record)):
        record.pop("segmentation", None)
    return record


def any_lacks_box(file: dict) -> bool:
    """Returns whether a file must be parsed with its outlines, since an annotation has no box."""
    return any(type(a) is dict and lacks_box(a) for a in file["annotations"])
