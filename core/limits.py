"""Limits of settings: the values that a number may have, written in the type of its field.

`lr: Annotated[float, Limits(0, 100)]` is a float for Python, for flags and for cards; `refuse_outside` reads the limits of a
dataclass and of those within it. A field without limits must still be a number that a computer can work with, and a text of
one line. Imports no torch.
"""

import math
import re
import typing
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from core.errors import UserError

LONGEST = 4096  # characters of a text or a path, and values of a list: what a file system takes as a path
CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f]")
T = TypeVar("T")
SHOWN = 60  # characters of a wrong value that a message shows


@dataclass(frozen=True)
class Limits:
    """The smallest and the largest value; `above` excludes the smallest itself, and `below` the largest.

    Of a text, which may then have several lines, `most` is the length.
    """

    least: int | float = -1e12
    most: int | float = 1e12
    above: bool = False
    below: bool = False
    divides: str = ""  # the field of the same dataclass that the value must divide
    of: int = 1  # the value must be a multiple of it

    def __str__(self) -> str:
        low, high = (f"{x:.0f}" if abs(x) < 1e7 and x % 1 == 0 else f"{x:g}" for x in (self.least, self.most))
        words = [f"a number {'above' if self.above else 'from'} {low} {'below' if self.below else 'to'} {high}"]
        if self.of > 1:
            words.append(f"a multiple of {self.of}")
        if self.divides:
            words.append(f"a divisor of {self.divides}")
        return ", ".join(words)

    def allow(self, value: int | float, settings: Any) -> bool:
        """Returns whether a value of a field of the dataclass `settings` lies within the limits; NaN never does."""
        inside = self.least < value if self.above else self.least <= value
        inside = inside and (value < self.most if self.below else value <= self.most)
        if not inside or (self.of > 1 and value % self.of):
            return False
        return not self.divides or getattr(settings, self.divides) % value == 0


@dataclass(frozen=True)
class Items:
    """The smallest and the largest number of values of a list."""

    least: int = 0
    most: int = LONGEST

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


Count = Annotated[int, Limits(1, 1_000_000)]
CountOrZero = Annotated[int, Limits(0, 1_000_000)]
Size = Annotated[int, Limits(1, 16_384)]  # of an image in pixels, or of a vector
Weight = Annotated[float, Limits(0, 1e6)]
Share = Annotated[float, Limits(0, 1)]
Positive = Annotated[float, Limits(0, 1e6, above=True)]
Exponent = Annotated[float, Limits(0, 100)]
Text = Annotated[str, Limits(0, 1_000_000)]  # of several lines
Dropout = Annotated[float, Limits(0, 1, below=True)]
Width = Annotated[int, Limits(32, 16_384, of=32)]  # of a detector that normalises its channels in 32 groups
Points = Annotated[int, Limits(1, 64)]
Workers = Annotated[int, Limits(0, 256)]  # processes that load images
Layers = Annotated[int, Limits(1, 100)]
LayersOrZero = Annotated[int, Limits(0, 100)]
Divisor = Annotated[
    int, Limits(1, 16_384, divides="width")
]  # the number of equal parts of a vector of the field `width`


def refuse_outside(settings: Any, prefix: str = "") -> None:
    """UserError: a value of a dataclass, or of one within it, has another type than its field or is outside its limits.

    `prefix` stands before the name of the field in the message.
    """
    cls: Any = type(settings)
    for name, (kind, limits) in checked_fields(cls).items():
        value = getattr(settings, name)
        if is_dataclass(value):
            refuse_outside(value, f"{prefix}{name}.")
        elif isinstance(value, tuple):
            items = find(Items, kind) or Items()
            if not items.least <= len(value) <= items.most:
                raise UserError(f"{prefix}{name} holds {len(value)} values; it takes {items}")
            for item in value:
                refuse_value(prefix + name, item, limits, settings)
        elif value is not None or not takes_none(kind):
            refuse_value(prefix + name, value, limits, settings)


def refuse_value(name: str, value: Any, limits: Limits, settings: Any) -> None:
    """UserError: a number is outside the limits, or a text is too long or has control characters."""
    if isinstance(value, bool):
        return
    if isinstance(value, str | Path):
        longest = LONGEST if limits == Limits() else limits.most
        if len(str(value)) > longest or (limits == Limits() and CONTROL.search(str(value))):
            raise UserError(
                f"{name} is {shown(value)}; it must be a text of one line, of at most {longest:g} characters"
            )
    elif not isinstance(value, int | float):
        raise UserError(f"{name} is {shown(value)}; give a value")
    elif not limits.allow(value, settings):
        raise UserError(f"{name} is {shown(value)}; it must be {limits}")


@cache
def checked_fields(kind: Any) -> dict[str, tuple[Any, Limits]]:
    """The type and the limits of each field of a dataclass."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {f.name: (hints[f.name], find(Limits, hints[f.name]) or Limits()) for f in fields(kind)}


def find(sort: type[T], kind: Any) -> T | None:
    """The limits of this sort that a type holds, or a part of it such as the items of a tuple; None without any."""
    own = [x for x in getattr(kind, "__metadata__", ()) if isinstance(x, sort)]
    inner = [limits for part in typing.get_args(kind) if (limits := find(sort, part))]
    return next(iter(own + inner), None)


def takes_none(kind: Any) -> bool:
    """Returns whether None is a value of a type."""
    return type(None) in typing.get_args(kind)


def shown(value: Any) -> str:
    """A wrong value as a message shows it: with escapes for what is not printable, and not too long."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**SHOWN:
        return f"a number of {int(math.log10(abs(value))) + 1} digits"
    text = repr(str(value) if isinstance(value, Path) else value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
