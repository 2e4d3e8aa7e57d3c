"""Progress of anything that takes longer than a moment, written to the standard error.

On a terminal it is a bar; elsewhere it is a line after two seconds and then every five.
"""

import sys
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import TypeVar

from core.terminal import behind, printable

T = TypeVar("T")
FIRST, NEXT = 2.0, 5.0  # seconds until the first line, and between lines, where there is no terminal


def watched(items: Iterable[T], title: str, total: int, *, done: int = 0, each: int = 1) -> Iterator[T]:
    """Yields the items and shows how many of `total` are done: `done` at the start, and `each` more with every item."""
    return (
        bar(items, title, total, done, each) if behind(sys.stderr).isatty() else lines(items, title, total, done, each)
    )


def bar(items: Iterable[T], title: str, total: int, done: int, each: int) -> Iterator[T]:
    """Yields the items under a progress bar."""
    from rich.console import Console  # takes a tenth of a second to import
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(file=behind(sys.stderr)), transient=True) as progress:
        task = progress.add_task(printable(title), total=total, completed=done)
        for item in items:
            yield item
            done = min(total, done + each)
            progress.update(task, completed=done)


def lines(items: Iterable[T], title: str, total: int, done: int, each: int) -> Iterator[T]:
    """Yields the items and prints a line after FIRST seconds, then one every NEXT seconds."""
    due = perf_counter() + FIRST
    for item in items:
        yield item
        done = min(total, done + each)
        if perf_counter() > due:
            due = perf_counter() + NEXT
            print(f"{title}: {done} of {total}", file=sys.stderr, flush=True)
