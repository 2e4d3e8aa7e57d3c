"""The classes of a dataset. Imports no torch, so that `python -m train check` starts quickly."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """One class. Label k of a dataset means its `categories[k]`."""

    id: int  # the id in the annotation file: any whole number, not the label
    name: str
