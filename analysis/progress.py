"""How far a long job is: one line that changes on a terminal, a line every few seconds elsewhere."""

from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
EVERY = 5.0  # seconds between lines where there is no terminal


def watched(items: Iterable[T], title: str, total: int, *, done: int = 0, each: int = 1) -> Iterator[T]:
    """The items; `done` of `total` are there at the start, and every item is `each` more."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task, spoken = bar.add_task(title, total=total, completed=done), perf_counter()
        for item in items:
            yield item
            done = min(total, done + each)
            bar.update(task, completed=done)
            if not console.is_terminal and perf_counter() - spoken > EVERY:
                spoken = perf_counter()
                console.print(f"{title}: {done} of {total}", highlight=False, soft_wrap=True)
