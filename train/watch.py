"""Progress of whatever takes longer than a moment, to the standard error."""

import sys
from collections.abc import Iterable, Iterator
from time import perf_counter

FIRST, NEXT = 2.0, 5.0  # seconds until a line, and between lines, where there is no terminal


def watched(things: Iterable, doing: str, count: int) -> Iterator:
    """The things; a bar on a terminal, elsewhere a line now and then."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        yield from track(things, doing, total=count, console=Console(stderr=True), transient=True)
    else:
        yield from told(things, doing, count)


def told(things: Iterable, doing: str, count: int) -> Iterator:
    due = perf_counter() + FIRST
    for done, thing in enumerate(things, start=1):
        yield thing
        if perf_counter() > due:
            due = perf_counter() + NEXT
            print(f"{doing}: {done} of {count}", file=sys.stderr, flush=True)
