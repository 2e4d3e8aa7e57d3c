"""Which rows of a class head are classes, in which order, and what they are called."""

from dataclasses import dataclass
from pathlib import Path

from core.convert.read import ForeignWeights
from core.data.category import Category
from core.data.coco.rules import faults_of, of_category, same_names
from core.errors import UserError
from core.files import read_json

UNUSED = {0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # of COCO's ids 0 .. 90
NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag,
tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard,
tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot,
hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier,
toothbrush"""
COCO = dict(zip(sorted(set(range(91)) - UNUSED), (name.strip() for name in NAMES.split(",")), strict=True))


@dataclass(frozen=True)
class Classes:
    """Label k is row `rows[k]` of the file's heads, and means `categories[k]`."""

    rows: tuple[int, ...]
    categories: tuple[Category, ...]
    source: str  # of the names, as a phrase


def classes(foreign: ForeignWeights, kind: str, count: int, given: Path | None) -> Classes:
    """Of `count` rows. The DETR family's are COCO's ids, AdaMixer's the categories by id.

    `given` holds a list of names, or is a COCO instances file. UserError where it, or the file's own names, do not fit.
    """
    named = {k: v for k, v in foreign.labels.items() if v != f"LABEL_{k}"}  # transformers' way to leave a name out
    if named and sorted(foreign.labels) != list(range(count)):
        raise UserError(f"{foreign.path} names {len(foreign.labels)} classes, but its class heads have {count} rows")
    if given:
        return from_file(given, foreign, kind, count, named)
    if foreign.ids:
        return with_ids(foreign, count, named)
    if not named and count == (80 if kind == "adamixer" else 91) or is_coco(named):
        rows = COCO if count == 91 else range(80)
        return Classes(tuple(rows), tuple(Category(*c) for c in COCO.items()), "as COCO names them")
    if named:
        used = {k: v for k, v in named.items() if v != "N/A"}
        return Classes(tuple(used), tuple(Category(*c) for c in used.items()), "as the file names them")
    numbered = tuple(Category(k, f"class {k}") for k in range(count))
    return Classes(tuple(range(count)), numbered, "the file has no names: --classes FILE.json gives them")


def is_coco(named: dict[int, str]) -> bool:
    """By id, whatever is written in the gaps, or without gaps."""
    by_id = len(named) == 91 and all(named[k] == name for k, name in COCO.items())
    return by_id or list(named.values()) == list(COCO.values())


def with_ids(foreign: ForeignWeights, count: int, named: dict[int, str]) -> Classes:
    if not len(foreign.ids) == len(named) == count:
        raise UserError(
            f"{foreign.path} has {len(foreign.ids)} category_ids and {len(named)} names for {count} classes"
        )
    return Classes(
        tuple(range(count)), tuple(Category(foreign.ids[k], named[k]) for k in range(count)), "the file's own"
    )


def from_file(given: Path, foreign: ForeignWeights, kind: str, count: int, named: dict[int, str]) -> Classes:
    told = read_json(given)
    if isinstance(told, list) and all(isinstance(x, str) and x for x in told):
        found, rows = tuple(Category(k, name) for k, name in enumerate(told)), tuple(range(len(told)))
    else:
        found = categories_in(given, told)
        rows = rows_of(found, kind, count, named)
    if not rows or isinstance(told, list) and len(rows) != count:
        raise UserError(
            f"{given} names {len(found)} classes, which do not fit {foreign.path}: its heads have {count} rows"
        )
    return Classes(rows, found, f"as {given} names them")


def categories_in(given: Path, told) -> tuple[Category, ...]:
    records = told.get("categories") if isinstance(told, dict) else None
    if not isinstance(records, list) or not records:
        raise UserError(f"{given} has no categories; give a COCO instances file, or a JSON list of names")
    for fault in (*faults_of("categories", records, of_category), *same_names(records)):
        raise UserError(f"{given}: {fault}")
    return tuple(sorted((Category(r["id"], r["name"]) for r in records), key=lambda c: c.id))


def rows_of(found: tuple[Category, ...], kind: str, count: int, named: dict[int, str]) -> tuple[int, ...]:
    """By the names that the weights come with; else all rows in order of id; else, in the DETR family, by id."""
    by_name = {name: k for k, name in named.items()}
    if all(c.name in by_name for c in found):
        return tuple(by_name[c.name] for c in found)
    if len(found) == count:
        return tuple(range(count))
    if kind != "adamixer" and all(0 <= c.id < count for c in found):
        return tuple(c.id for c in found)
    return ()
