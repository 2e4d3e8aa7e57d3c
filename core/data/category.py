"""The classes of a dataset."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """Label k means `categories[k]`; `id` is what the annotation file calls it."""

    id: int
    name: str
