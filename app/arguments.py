"""Checks of arguments that come from outside: each has the right type and size, or a sentence says what is wrong."""

import inspect
import math
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from core.errors import UserError

LARGEST = 2**1000  # of the whole numbers that are taken as numbers
LONGEST = 4096  # characters of a text
KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}

T = TypeVar("T")


def checked(handler: Callable[..., T]) -> Callable[..., T]:
    """Wraps a handler so that it checks its arguments against its annotations. UserError: they do not fit."""
    signature = inspect.signature(handler)

    @wraps(handler)
    def checked_handler(*arguments: Any, **named_arguments: Any) -> T:
        try:
            bound = signature.bind(*arguments, **named_arguments)
        except TypeError as error:
            raise UserError(f"{handler.__name__}: {error}; it takes {signature}") from None
        for name, value in bound.arguments.items():
            bound.arguments[name] = fitting(value, signature.parameters[name].annotation, name)
        return handler(*bound.args, **bound.kwargs)

    return checked_handler


def fitting(value: Any, kind: type, name: str) -> Any:
    """The value as a `kind`: an int is a float too, but a bool is no int. UserError: it is none, too long or not finite."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < LARGEST else math.inf
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"{name} must be {KINDS[kind]}, not {str(value)[:40]!r}")
    if isinstance(value, str) and len(value) > LONGEST:
        raise UserError(f"{name} is longer than {LONGEST} characters")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{name} must be a finite number")
    return value


def within(index: int, count: int, name: str) -> None:
    """Checks that an index is from 0 to count - 1. UserError: it is not."""
    if not 0 <= index < count:
        raise UserError(f"no {name} {index}: there are {count}, from 0")


def unit(value: float, name: str) -> float:
    """Returns a value from 0 to 1. UserError: it is outside."""
    if not 0 <= value <= 1:
        raise UserError(f"{name} is {value:g}; it must be from 0 to 1")
    return value
