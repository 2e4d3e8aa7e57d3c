"""The exceptions with which a run may end. Imports no torch."""


class Stopped(Exception):
    """Raised when training ended after a signal and saved its state; `code` is the exit code, 128 + the signal's number."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.code = 128 + number


class NotFinite(ArithmeticError):
    """Raised when a loss, a matching cost or a gradient is infinite or NaN."""


class Failed(RuntimeError):
    """Raised when the machine is at fault: the disk is full, or a process that reads images was killed."""


class FailedHere(Failed):
    """Raised in the process that failed alone: the others only see that it is gone."""


class Lost(RuntimeError):
    """Raised when another process of the run is gone."""
