"""Converts frozen dataclasses to plain JSON data and back.

Decoding is strict: an unknown key is refused, and a name in the data can never import code.
"""

import types
import typing
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from core import detectors
from core.errors import UserError
from core.limits import shown


def encode(value: Any) -> Any:
    """Converts a dataclass to JSON data; a detector's Config becomes {"detector": name, "config": fields}."""
    if is_dataclass(type(value)):
        plain = {f.name: encode(getattr(value, f.name)) for f in fields(value)}
        return {"detector": detectors.name_of(value), "config": plain} if is_detector(type(value)) else plain
    if isinstance(value, tuple):
        return [encode(x) for x in value]
    return str(value) if isinstance(value, Path) else value


def is_detector(kind: Any) -> bool:
    """Returns whether a type is the Config of a detector."""
    return (
        isinstance(kind, type)
        and is_dataclass(kind)
        and kind.__module__.startswith("core.detectors.")
        and kind.__name__ == "Config"
    )


def decode(kind: Any, data: Any, where: str) -> Any:
    """Converts JSON data to a value of the type `kind`. UserError names the field that is wrong; `where` is its path."""
    if is_dataclass(kind):
        return decode_detector(data, where) if is_detector(kind) else decode_fields(kind, data, where)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return decode_union(parts, data, where)
    if origin is typing.Literal:
        return data if data in parts else refuse(where, f"one of {', '.join(map(str, parts))}", data)
    return decode_tuple(parts, data, where) if origin is tuple else decode_plain(kind, data, where)


def decode_tuple(parts: tuple, data: Any, where: str) -> tuple:
    """Converts a list to a tuple whose items have the types `parts`; (T, ...) is a tuple of any length."""
    items = data if isinstance(data, list) else refuse(where, "a list", data)
    kinds = [parts[0]] * len(items) if parts[-1] is Ellipsis else parts
    if len(items) != len(kinds):
        refuse(where, f"{len(kinds)} values", data)
    return tuple(decode(k, x, f"{where}[{i}]") for i, (k, x) in enumerate(zip(kinds, items)))


def decode_plain(kind: Any, data: Any, where: str) -> Any:
    """Converts a number, a string, a bool or a path. An int is accepted as a float; a bool is not accepted as a number."""
    accepts: Any = {float: (int, float), Path: str}.get(kind, kind)
    if not isinstance(data, accepts) or (isinstance(data, bool) and kind is not bool):
        refuse(where, {Path: "a path"}.get(kind, kind.__name__), data)
    try:
        return kind(data)
    except OverflowError:  # an int that is too large for a float
        refuse(where, "a smaller number", data)


def decode_union(parts: tuple, data: Any, where: str) -> Any:
    """Converts a value that may be None; of a union of detectors' Configs any member will do, since the data names one."""
    if data is None and type(None) in parts:
        return None
    return decode(next(part for part in parts if part is not type(None)), data, where)


def decode_detector(data: Any, where: str) -> Any:
    """Converts {"detector": name, "config": fields} to a Config; the name is checked before anything is imported."""
    refuse_unknown_keys(data, ("detector", "config"), where)
    name = data.get("detector")
    if name not in detectors.names():
        raise UserError(f"{where}: no detector {shown(name)}{did_you_mean(str(name), detectors.names())}")
    return decode_fields(detectors.module(name).Config, data.get("config", {}), f"{where}.config")


def decode_fields(kind: Any, data: Any, where: str) -> Any:
    """Converts an object to the dataclass `kind`; fields that are left out get their defaults."""
    hints = typing.get_type_hints(kind)
    refuse_unknown_keys(data, hints, where)
    values = {key: decode(hints[key], x, f"{where}.{key}") for key, x in data.items()}
    try:
        return kind(**values)
    except (TypeError, UserError) as error:  # a field without a default is missing, or a value is outside its limits
        raise UserError(f"{where}: {error}") from None


def refuse_unknown_keys(data: Any, names: Iterable[str], where: str) -> None:
    """Raises UserError if `data` is not an object, or has a key that is not among `names`."""
    if not isinstance(data, dict):
        refuse(where, "an object", data)
    for key in data:
        if key not in names:
            raise UserError(f"{where}: no field {shown(key)}{did_you_mean(key, names)}")


def refuse(where: str, wanted: str, data: Any) -> NoReturn:
    """Raises the UserError for a value that is not what is wanted."""
    raise UserError(f"{where} must be {wanted}, not {shown(data)}")


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the most similar of `names`, or else all of them."""
    near = get_close_matches(word, list(names), n=1, cutoff=0.5)
    return f"; perhaps you meant {near[0]}" if near else f"; there are {', '.join(names)}"
