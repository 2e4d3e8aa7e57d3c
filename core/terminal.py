"""Text for a terminal, a drawing or a page: control characters are written as escapes, and nothing else changes; exit codes.

Names come from files that strangers wrote: an escape sequence would move the cursor or clear the screen, and a mark that turns
the direction of writing would show another name than the file has.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from core.errors import UserError


def printable(text: object, keep: str = "") -> str:
    """The text with escapes for all that is not printable, such as ESC, but for the characters in `keep`."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def printable_data(value: Any) -> Any:
    """JSON data whose texts and keys have escapes for all that is not printable."""
    if isinstance(value, dict):
        return {printable(key): printable_data(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [printable_data(inner) for inner in value]
    return printable(value) if isinstance(value, str) else value


class Escaped:
    """A stream that writes control characters, and characters that its encoding does not have, as escapes.

    It says that it is no terminal, so that nobody writes colours to it; a progress bar goes to `behind(stream)`.
    """

    def __init__(self, stream: Any):
        self.stream = stream

    def write(self, text: str) -> int:
        """Writes the text, of which line breaks and tabs stay; returns its length."""
        code = self.stream.encoding or "utf-8"
        self.stream.write(printable(text, keep="\n\t").encode(code, "backslashreplace").decode(code))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each of the lines."""
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        """Returns False."""
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def escaped_output() -> Iterator[None]:
    """While open, all that is printed is escaped: each program does all of its work within."""
    out, err = (x if isinstance(x, Escaped) else Escaped(x) for x in (sys.stdout, sys.stderr))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


def behind(stream: Any) -> Any:
    """The stream behind an escaped one, for what moves the cursor itself and escapes its own text; another stream itself."""
    return stream.stream if isinstance(stream, Escaped) else stream


class Parser(argparse.ArgumentParser):
    """A parser whose messages take one line, whatever was typed."""

    def error(self, message: str) -> NoReturn:
        """Prints the usage and the message, and exits with 2."""
        super().error(printable(message))


def exit_code(work: Callable[[], int | None], *, prints: bool = True) -> int:
    """Does the work of a program, whose output is escaped, and returns its exit code.

    0 is success, or what the work returns; 2 a user's mistake, or a file that cannot be read or written, which is printed unless
    `prints` is False; 130 an interruption; 141 a closed pipe.
    """
    with escaped_output():
        try:
            code = work() or 0
            sys.stdout.flush()
            return code
        except (UserError, OSError) as error:
            if isinstance(error, BrokenPipeError):  # the program that read the output, such as `head`, has ended
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 141
            if prints:
                print(f"error: {sentence(error)}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 130


def sentence(error: UserError | OSError) -> str:
    """Says in one line why the work ended. An OSError without a file is raised again: it is not about a path that a user gave."""
    if isinstance(error, UserError):
        return printable(error)
    if not error.filename:
        raise error
    return printable(f"{os.fsdecode(error.filename)} cannot be read or written ({error.strerror}); give another path")
