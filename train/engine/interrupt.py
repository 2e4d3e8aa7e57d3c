"""Ctrl-C and SIGTERM as a wish that the loop grants at the end of a step."""

import signal


class Interrupt:
    """While open, the first signal is noted in `number`; the second has its usual, immediate effect."""

    def __init__(self):
        self.number: int | None = None

    def __enter__(self) -> "Interrupt":
        self.usual = {n: signal.signal(n, self.note) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_) -> None:
        self.restore()

    def note(self, number: int, frame) -> None:
        self.number = number
        self.restore()

    def restore(self) -> None:
        for number, handler in self.usual.items():
            signal.signal(number, handler)
