"""Frozen dataclasses as plain JSON data and back. Strict: an unknown key is refused, and no name can import code."""

import types
import typing
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path

from core import detectors
from core.errors import UserError


def encode(value):
    """A dataclass as plain data; a detector's Config goes under its name."""
    if is_dataclass(value):
        plain = {f.name: encode(getattr(value, f.name)) for f in fields(value)}
        return {"detector": detectors.name_of(value), "config": plain} if is_detector(type(value)) else plain
    if isinstance(value, tuple):
        return [encode(x) for x in value]
    return str(value) if isinstance(value, Path) else value


def is_detector(kind) -> bool:
    """Whether a type is some detector's Config."""
    return is_dataclass(kind) and kind.__module__.startswith("core.detectors.") and kind.__name__ == "Config"


def decode(kind, data, where: str):
    """`data` as a value of the type `kind`; UserError names the field, found at `where`, that is wrong."""
    if is_dataclass(kind):
        return decode_detector(data, where) if is_detector(kind) else decode_fields(kind, data, where)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return decode_union(parts, data, where)
    if origin is typing.Literal:
        return data if data in parts else refuse(where, f"one of {', '.join(map(str, parts))}", data)
    return decode_tuple(parts, data, where) if origin is tuple else decode_plain(kind, data, where)


def decode_tuple(parts, data, where: str):
    items = data if isinstance(data, list) else refuse(where, "a list", data)
    kinds = [parts[0]] * len(items) if parts[-1] is Ellipsis else parts
    if len(items) != len(kinds):
        refuse(where, f"{len(kinds)} values", data)
    return tuple(decode(k, x, f"{where}[{i}]") for i, (k, x) in enumerate(zip(kinds, items)))


def decode_plain(kind, data, where: str):
    accepts = {float: (int, float), Path: str}.get(kind, kind)
    if not isinstance(data, accepts) or (isinstance(data, bool) and kind is not bool):
        refuse(where, {Path: "a path"}.get(kind, kind.__name__), data)
    return kind(data)


def decode_union(parts, data, where: str):
    if data is None and type(None) in parts:
        return None
    return decode(next(part for part in parts if part is not type(None)), data, where)


def decode_detector(data, where: str):
    """{"detector": name, "config": fields}; the name is checked before anything is imported."""
    known(data, ("detector", "config"), where)
    name = data.get("detector")
    if name not in detectors.names():
        raise UserError(f"{where}: no detector {name!r}{did_you_mean(str(name), detectors.names())}")
    return decode_fields(detectors.module(name).Config, data.get("config", {}), f"{where}.config")


def decode_fields(kind, data, where: str):
    hints = typing.get_type_hints(kind)
    known(data, hints, where)
    try:
        return kind(**{key: decode(hints[key], x, f"{where}.{key}") for key, x in data.items()})
    except TypeError as error:  # a field without a default is missing
        raise UserError(f"{where}: {error}") from None


def known(data, names, where: str) -> None:
    if not isinstance(data, dict):
        refuse(where, "an object", data)
    for key in data:
        if key not in names:
            raise UserError(f"{where}: no field {key!r}{did_you_mean(key, names)}")


def refuse(where: str, wanted: str, data):
    raise UserError(f"{where} must be {wanted}, not {data!r}")


def did_you_mean(word: str, names) -> str:
    """The end of a sentence about an unknown word."""
    near = get_close_matches(word, list(names), n=1, cutoff=0.5)
    return f"; perhaps you meant {near[0]}" if near else f"; there are {', '.join(names)}"
