"""Filters of the gallery, all of which an image must pass: by its objects' class, size, score and change, and their number.

An image passes those of objects if one and the same object passes them all.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from app.worker.columns import Columns
from app.worker.survey import Survey
from core.errors import UserError
from core.metrics.gained_lost import MIN_SCORE, Changes

ALL = (0.0, float("inf"))
RANGE = re.compile(r"([0-9]{0,9}(?:\.[0-9]{1,6})?)-([0-9]{0,9}(?:\.[0-9]{1,6})?)")
Range = tuple[float, float]  # ends included
CHANGES = {"kept": "found by both", "gained": "gained", "lost": "lost", "missed": "missed by both"}
ALONE = {"kept": "found", "missed": "missed"}  # of one run


@dataclass(frozen=True)
class Filters:
    """The filters that are chosen; "" stands for any, and so does the range ALL."""

    label: int | None = None
    change: str = ""
    ranges: dict[str, Range] = field(default_factory=dict)  # by the name of a histogram

    def without(self, name: str) -> "Filters":
        """The other filters than one of the ranges."""
        return replace(self, ranges={k: v for k, v in self.ranges.items() if k != name})

    @property
    def of_facts(self) -> bool:
        """True where an image can only pass once it has been analysed."""
        return bool(self.change) or "score" in self.ranges


@dataclass(frozen=True)
class Table:
    """The objects of all images, with what the surveys know about them."""

    columns: Columns
    score: Float[
        ndarray, " t"
    ]  # of the run's detection that found an object; 0 where none did, NaN where that is not known
    compared: Float[ndarray, " t"]  # the same of the run that it is compared with, or of the run itself

    @property
    def known(self) -> Bool[ndarray, " t"]:
        """Which objects all surveys have reached."""
        return ~np.isnan(self.score + self.compared)


def table(surveys: Sequence[Survey]) -> Table:
    """The table of the survey of a run and, beside a second run, of that one."""
    first, last = surveys[0], surveys[-1]
    return Table(first.samples.columns, first.object_scores(), last.object_scores())


def parse_filters(
    classes: Sequence[str], category: str, change: str, ranges: dict[str, str], compared: bool
) -> Filters:
    """The filters of a request. UserError: there is no such class or change, or a range is none."""
    if category and category not in classes:
        raise UserError(f"there is no class {category[:40]!r} in this data")
    changes = CHANGES if compared else ALONE
    if change and change not in changes:
        more = "" if compared else "; beside another run there are gained and lost too"
        raise UserError(f"no change {change[:40]!r} of an object; there are {', '.join(changes)}{more}")
    label = list(classes).index(category) if category else None
    return Filters(label, change, {name: parse_range(text, name) for name, text in ranges.items() if text})


def parse_range(text: str, name: str) -> Range:
    """The ends of "FROM-TO", either of which may be missing. UserError: the text is no range."""
    match = RANGE.fullmatch(text)
    if match is None:
        raise UserError(f"{text[:40]!r} is no range of {name}; give FROM-TO, FROM- or -TO")
    low, high = (float(end) if end else other for end, other in zip(match.groups(), ALL))
    return low, high


def passing_images(table: Table, filters: Filters) -> Bool[ndarray, " i"]:
    """Which images pass all filters."""
    counts = table.columns.counts
    by_number = inside(counts, filters.ranges.get("objects", ALL))
    if filters.label is None and not filters.change and not filters.ranges.keys() & {"size", "score"}:
        return by_number
    return by_number & (np.bincount(table.columns.image[matching(table, filters)], minlength=len(counts)) > 0)


def passing_objects(table: Table, filters: Filters) -> Bool[ndarray, " t"]:
    """Which objects pass all filters, that of the number of objects in their image included."""
    by_number = inside(table.columns.counts, filters.ranges.get("objects", ALL))
    return by_number[table.columns.image] & matching(table, filters)


def matching(table: Table, filters: Filters) -> Bool[ndarray, " t"]:
    """Which objects pass the filters of objects."""
    passing = inside(table.columns.side, filters.ranges.get("size", ALL))
    if filters.label is not None:
        passing &= table.columns.label == filters.label
    if "score" in filters.ranges:
        passing &= inside(table.score, filters.ranges["score"])
    if filters.change:
        passing &= of_kind(table, filters.change)
    return passing


def of_kind(table: Table, kind: str) -> Bool[ndarray, " t"]:
    """Which objects are kept, gained, lost or missed; none of those that are not known yet."""
    rows = np.arange(len(table.score))
    return table.known & (Changes(rows, table.compared, table.score, MIN_SCORE).kind == kind)


def inside(x: Float[ndarray, " n"] | Int[ndarray, " n"], limits: Range) -> Bool[ndarray, " n"]:
    """Which values are in a range."""
    return (x >= limits[0]) & (x <= limits[1])
