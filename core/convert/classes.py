"""Chooses the rows of a class head that are classes, their order, and the ids and names of the classes."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.convert.read import ForeignWeights
from core.data.category import Category
from core.data.coco.faults import quoted
from core.data.coco.rules import category_violations, faults_in, repeated_names
from core.errors import UserError
from core.files import read_json

UNUSED = {0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # the ids of 0 .. 90 that COCO has no class for
NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag,
tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard,
tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot,
hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier,
toothbrush"""
COCO: dict[int, str] = dict(
    zip(sorted(set(range(91)) - UNUSED), (name.strip() for name in NAMES.split(",")), strict=True)
)


@dataclass(frozen=True)
class Classes:
    """The classes of a detector. Label k is row `rows[k]` of the file's class heads, and means `categories[k]`."""

    rows: tuple[int, ...]
    categories: tuple[Category, ...]
    source: str  # a phrase that says where the names come from


def choose_classes(foreign: ForeignWeights, kind: str, count: int, class_file: Path | None) -> Classes:
    """The classes of a detector whose class heads have `count` rows; see `find_classes`. UserError: two have one name or id."""
    classes = find_classes(foreign, kind, count, class_file)
    for key in ("name", "id"):
        values = Counter(vars(c)[key] for c in classes.categories)
        if repeated := next((c for c in classes.categories if values[vars(c)[key]] > 1), None):
            raise UserError(
                f"{class_file or foreign.path} gives the {key} {quoted(vars(repeated)[key])} to more than one class; give each "
                "class its own in --classes FILE.json"
            )
    return classes


def find_classes(foreign: ForeignWeights, kind: str, count: int, class_file: Path | None) -> Classes:
    """The classes of a detector whose class heads have `count` rows; several may have one name.

    The names come from `class_file` (a JSON list of names, or a COCO instances file) if given, else from the file of weights.
    Without names, 91 rows of the DETR family are COCO's ids, 80 rows of AdaMixer are COCO's classes by id, and other rows are
    numbered. UserError: the names do not fit the rows.
    """
    names = {k: v for k, v in foreign.labels.items() if v != f"LABEL_{k}"}  # what transformers writes without a name
    if names and sorted(foreign.labels) != list(range(count)):
        numbers = sorted(foreign.labels)
        hint = (
            f", numbered from {numbers[0]} to {numbers[-1]}; number the names of rows from 0"
            if len(numbers) == count
            else ""
        )
        raise UserError(f"{foreign.path} names {len(numbers)} classes, but its class heads have {count} rows{hint}")
    if class_file:
        return classes_from_file(class_file, foreign, kind, count, names)
    if foreign.category_ids:
        return classes_with_ids(foreign, count, names)
    if not names and count == (80 if kind == "adamixer" else 91) or is_coco(names):
        rows = COCO if count == 91 else range(80)
        return Classes(tuple(rows), tuple(Category(*c) for c in COCO.items()), "as COCO names them")
    if names:
        used = {k: v for k, v in names.items() if v != "N/A"}
        return Classes(tuple(used), tuple(Category(*c) for c in used.items()), "as the file names them")
    numbered = tuple(Category(k, f"class {k}") for k in range(count))
    return Classes(tuple(range(count)), numbered, "the file has no names: --classes FILE.json gives them")


def is_coco(names: dict[int, str]) -> bool:
    """Returns whether the rows are COCO's classes: 91 rows by id, with anything at unused ids, or 80 rows in order of id."""
    by_id = len(names) == 91 and all(names[k] == name for k, name in COCO.items())
    return by_id or list(names.values()) == list(COCO.values())


def classes_with_ids(foreign: ForeignWeights, count: int, names: dict[int, str]) -> Classes:
    """The classes of a file that gives the id of each row, as this project's export does. UserError: an id or name is missing."""
    ids = foreign.category_ids
    if not len(ids) == len(names) == count:
        raise UserError(f"{foreign.path} has {len(ids)} category_ids and {len(names)} names for {count} classes")
    return Classes(tuple(range(count)), tuple(Category(ids[k], names[k]) for k in range(count)), "the file's own")


def classes_from_file(path: Path, foreign: ForeignWeights, kind: str, count: int, names: dict[int, str]) -> Classes:
    """The classes that a JSON list of names, or a COCO instances file, gives. UserError: they do not fit the rows."""
    content = read_json(path)
    if isinstance(content, list) and all(isinstance(x, str) and x for x in content):
        categories, rows = tuple(Category(k, name) for k, name in enumerate(content)), tuple(range(len(content)))
    else:
        categories = categories_in(path, content)
        rows = rows_of(categories, kind, count, names)
    if not rows or isinstance(content, list) and len(rows) != count:
        raise UserError(
            f"{path} names {len(categories)} classes, which do not fit {foreign.path}: its heads have {count} rows"
        )
    return Classes(rows, categories, f"as {path} names them")


def categories_in(path: Path, content: Any) -> tuple[Category, ...]:
    """The categories of a COCO instances file, by id. UserError: it has none, or a record is wrong."""
    records = content.get("categories") if isinstance(content, dict) else None
    if not isinstance(records, list) or not records:
        raise UserError(f"{path} has no categories; give a COCO instances file, or a JSON list of names")
    for fault in (*faults_in("categories", records, category_violations), *repeated_names(records)):
        raise UserError(f"{path}: {fault}")
    return tuple(sorted((Category(r["id"], r["name"]) for r in records), key=lambda c: c.id))


def rows_of(categories: tuple[Category, ...], kind: str, count: int, names: dict[int, str]) -> tuple[int, ...]:
    """The row of each category, or () if none of these ways fits.

    By the names that the weights come with, if all are there once; else all rows in order of id, if the numbers are equal; else,
    in the DETR family, the row of the id.
    """
    by_name, times = {name: k for k, name in names.items()}, Counter(names.values())
    if all(times[c.name] == 1 for c in categories):
        return tuple(by_name[c.name] for c in categories)
    if len(categories) == count:
        return tuple(range(count))
    if kind != "adamixer" and all(0 <= c.id < count for c in categories):
        return tuple(c.id for c in categories)
    return ()
