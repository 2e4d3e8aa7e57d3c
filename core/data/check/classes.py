"""Checks classes: those without boxes, and those whose names are the same but for their spelling."""

import re
import unicodedata
from collections.abc import Iterator

import numpy as np

from core.data.category import Category
from core.data.check.case import Case
from core.data.coco.faults import Fault, quoted
from core.data.coco.rules import is_text


def find(case: Case) -> Iterator[Fault]:
    """Classes without boxes, and classes with the name of an earlier one in another spelling."""
    instances = case.instances
    counts = np.bincount(instances.label[~instances.crowd], minlength=len(instances.categories))
    for category, count in zip(instances.categories, counts):
        if count == 0:
            text = f"({quoted(category.name)}) has no usable box; remove the class, or add examples"
            yield class_fault(case, "empty-class", category, text)
    for category, first in respelled(instances.categories):
        text = f"is named {quoted(category.name)}, and category {first.id} {quoted(first.name)}; merge the two"
        yield class_fault(case, "spelling", category, text)


def class_fault(case: Case, kind: str, category: Category, text: str) -> Fault:
    """A fault of a class."""
    place = ("categories", case.positions["categories"][category.id])
    return Fault(kind, f"category {category.id}", text, place)


def respelled(categories: tuple[Category, ...]) -> list[tuple[Category, Category]]:
    """The classes whose name an earlier class has in another spelling, each with that class."""
    first: dict[str, Category] = {}
    return [(c, first[key]) for c in categories if first.setdefault(key := normalised(c.name), c) is not c]


def normalised(name: str) -> str:
    """The name in lower case, with single spaces in place of spaces, hyphens and underscores."""
    return re.sub(r"[\s_\-]+", " ", unicodedata.normalize("NFKC", name).casefold()).strip()


def repair(case: Case) -> Iterator[str]:
    """Merges classes of one name into the first of them."""
    named = (Category(c["id"], c["name"]) for c in case.file["categories"] if is_text(c.get("name")))
    pairs = [(c, first) for c, first in respelled(tuple(named)) if c.id != first.id]
    merged_into = {c.id: first.id for c, first in pairs}
    for annotation in case.file["annotations"]:
        annotation["category_id"] = merged_into.get(annotation["category_id"], annotation["category_id"])
    case.file["categories"] = [c for c in case.file["categories"] if c["id"] not in merged_into]
    for c, first in pairs:
        yield f"merged classes into {quoted(first.name)}: categories {first.id} and {c.id} ({quoted(c.name)})"
