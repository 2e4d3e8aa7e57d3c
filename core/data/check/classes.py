"""Classes: without a box, or of one name in two spellings."""

import re
import unicodedata
from collections.abc import Iterator

import numpy as np

from core.data.category import Category
from core.data.check.case import Case
from core.data.coco.faults import Fault, brief
from core.data.coco.rules import is_text


def find(case: Case) -> Iterator[Fault]:
    found = case.instances
    counts = np.bincount(found.label[~found.crowd], minlength=len(found.categories))
    for category, count in zip(found.categories, counts):
        if count == 0:
            text = f"({brief(category.name)}) has no usable box; remove the class, or add examples"
            yield fault(case, "empty-class", category, text)
    for category, other in spelt_twice(found.categories):
        text = f"is named {brief(category.name)}, and category {other.id} {brief(other.name)}; make them one"
        yield fault(case, "spelling", category, text)


def fault(case: Case, kind: str, category: Category, text: str) -> Fault:
    return Fault(kind, f"category {category.id}", text, ("categories", case.places["categories"][category.id]))


def spelt_twice(categories: tuple[Category, ...]) -> list[tuple[Category, Category]]:
    """Each with an earlier one of the same words."""
    first: dict[str, Category] = {}
    return [(c, first[key]) for c in categories if first.setdefault(key := words(c.name), c) is not c]


def words(name: str) -> str:
    """Whatever their case, and whatever is between them."""
    return re.sub(r"[\s_\-]+", " ", unicodedata.normalize("NFKC", name).casefold()).strip()


def mend(case: Case) -> Iterator[str]:
    """Classes of one name become the first of them."""
    named = (Category(c["id"], c["name"]) for c in case.file["categories"] if is_text(c.get("name")))
    pairs = spelt_twice(tuple(named))
    pairs = [(c, first) for c, first in pairs if c.id != first.id]
    into = {c.id: first.id for c, first in pairs}
    for annotation in case.file["annotations"]:
        annotation["category_id"] = into.get(annotation["category_id"], annotation["category_id"])
    case.file["categories"] = [c for c in case.file["categories"] if c["id"] not in into]
    for c, first in pairs:
        yield f"made one, {brief(first.name)}: categories {first.id} and {c.id} ({brief(c.name)})"
