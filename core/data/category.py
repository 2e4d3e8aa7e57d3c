"""The classes of a dataset. Imports no torch, so that `python -m train check` starts at once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """Label k means `categories[k]`; `id` is what the annotation file calls it."""

    id: int
    name: str
