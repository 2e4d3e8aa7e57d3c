"""Arguments of strangers: of the right type and size, or a sentence that says what is wrong."""

import inspect
import math
from collections.abc import Callable
from functools import wraps

from core.errors import UserError

LONGEST = 4096  # characters of a text
KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def checked(handler: Callable) -> Callable:
    """The handler, behind a check of its arguments' types against its annotations."""
    signature = inspect.signature(handler)

    @wraps(handler)
    def answer(*given, **named):
        try:
            bound = signature.bind(*given, **named)
        except TypeError as error:
            raise UserError(f"{handler.__name__}: {error}; it takes {signature}") from None
        for name, value in bound.arguments.items():
            bound.arguments[name] = fitting(value, signature.parameters[name].annotation, name)
        return handler(*bound.args, **bound.kwargs)

    return answer


def fitting(value, kind: type, name: str):
    """A whole number is a number too; true and false are not."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"{name} must be {KINDS[kind]}, not {str(value)[:40]!r}")
    if isinstance(value, str) and len(value) > LONGEST:
        raise UserError(f"{name} is longer than {LONGEST} characters")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{name} must be a finite number")
    return value


def within(index: int, count: int, name: str) -> None:
    if not 0 <= index < count:
        raise UserError(f"no {name} {index}: there are {count}, from 0")


def unit(value: float, name: str) -> float:
    if not 0 <= value <= 1:
        raise UserError(f"{name} is {value:g}; it must be from 0 to 1")
    return value
