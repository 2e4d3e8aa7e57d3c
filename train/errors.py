"""How a run may end other than well. Imports no torch."""


class Stopped(Exception):
    """Training ended by a signal, after it saved; `code` is what the process exits with: 128 + the signal's number."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.code = 128 + number


class NotFinite(ArithmeticError):
    """A loss, a cost of matching or a gradient is infinite or NaN."""


class Failed(RuntimeError):
    """The machine is at fault: a full disk, or a data-loading process that was killed."""


class Lost(RuntimeError):
    """Another process of the run is gone."""
