"""Values and names that nobody means well with, for tests of refusals."""

import contextlib
import copy
from collections.abc import Iterator
from functools import reduce
from typing import Any

from hypothesis import strategies as st

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 5, -5, 7.5, 2**31, 2**63, -(2**63), 10**9, 10**400, 0.0, -0.5, 1e-320, 1e300,
    float("nan"), float("inf"), -float("inf"), "", "x", "-1", "nan", "\0", "\x1b[2J", "a\nb", "../../x", "/dev/full", "x" * 5000,
    "tiny9999x99", "tiny0x0", "cuda:99999999999", "meta", "timm:", "imagenet", [], [0], [-1], [1], [1, 1], ["x"], [None], [[]],
    [8] * 5000, {}, {"path": 1}, {"detector": "adamixer"}, {"detector": "os", "config": {}},
)  # fmt: skip


# Names of classes, runs and files.
NAMES: tuple[str, ...] = (
    "$\\frac{$", "$", "$$", "$x_1$", "%", "100%", "_", "_x", "a_b", "{", "}", "{}", "^", "x^2", "~", "\\", "a\\", "\\input{x}",
    "\\end{tabular}", "&", "#", "[1pt]", "*", "<b>x</b>", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;",
    "=1+1", "+1", "-x", "@SUM(A1)", "\tx", "|", "a|b", "`", "\u202egnp.exe", "\x1b[2Jx", "\x1b]0;t\x07", "a\nb", "a\r\nb", "\x00",
    "\ud800", "\u732b", "\U0001f408", "e\u0301", "\xa0", " ", "x" * 300, "None", "nan",
)  # fmt: skip


# Names of a run that would leave runs/, or that a terminal or a file system takes amiss.
RUN_NAMES: tuple[str, ...] = (
    "../../x", "/tmp/x", "x" * 300, "-x", "a\x1b[2J", "a\nb", "", ".", "..", "a/../b", ".hidden", "a//b", "a\\b", "a\u202eb",
)  # fmt: skip


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of every value in JSON data, those of objects and lists included."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed(data: Any, path: tuple, value: Any) -> Any:
    """A copy of JSON data with another value at a path; unchanged where an earlier change has removed the path."""
    data = copy.deepcopy(data)
    with contextlib.suppress(KeyError, IndexError, TypeError):
        inner = data
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
    return data


def cards(good: Any) -> st.SearchStrategy:
    """A good card with one or two values replaced by wrong types, by what is out of range, or by others that fit."""
    known = list(places(good))

    def change(path: tuple) -> st.SearchStrategy:
        return st.tuples(st.just(path), st.one_of(like(value_at(good, path)), st.sampled_from(VALUES), numbers))

    numbers = st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
    changes = st.lists(st.sampled_from(known).flatmap(change), min_size=1, max_size=2)
    return changes.map(lambda pairs: reduce(lambda data, pair: changed(data, *pair), pairs, good))


def like(value: Any) -> st.SearchStrategy:
    """Small values of the same type, most of which a card may hold."""
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int):
        return st.integers(0, 70)
    if isinstance(value, float):
        return st.floats(0, 2)
    if isinstance(value, list):
        return st.lists(like(value[0] if value else 0), max_size=5)
    return st.just(value)


def value_at(data: Any, path: tuple) -> Any:
    """The value at a path."""
    return reduce(lambda inner, key: inner[key], path, data)
