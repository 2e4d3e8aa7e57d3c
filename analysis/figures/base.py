"""The interface between the two halves of a figure: the numbers that it measures, and from which it is drawn."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Numbers:
    """Everything that a figure shows, before it is drawn."""

    rows: list[dict]  # all numbers in the figure, each dict a line of its CSV
    caption: str  # what the numbers are, and what they show
    extra: Any = field(default=None, compare=False)  # what is drawn but is no number, such as pictures
