"""Ctrl-C and SIGTERM as a request that the training loop fulfils at the end of a step; SIGTERM as an exception elsewhere."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """While open, the first signal is only stored in `number`; the second has its usual, immediate effect."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __enter__(self) -> "Interrupt":
        self.previous = {n: signal.signal(n, self.store) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()

    def store(self, number: int, frame: FrameType | None) -> None:
        """Stores the number of a signal and puts the previous handlers back."""
        self.number = number
        self.restore()

    def restore(self) -> None:
        """Puts the handlers back that were there before."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)


@contextmanager
def sigterm_unwinds() -> Iterator[None]:
    """While open, SIGTERM raises SystemExit, so that scratch folders are removed; its code is 128 + the signal's number."""
    previous = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
