"""Text for a terminal, a drawing or a page: control characters are written as escapes, and nothing else changes.

Names come from files that strangers wrote: an escape sequence would move the cursor or clear the screen, and a mark that turns
the direction of writing would show another name than the file has.
"""

import sys
from typing import Any


def printable(text: str, keep: str = "") -> str:
    """The text with escapes for all that is not printable, such as ESC, but for the characters in `keep`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def show(*values: object, end: str = "\n", file: Any = None, flush: bool = False) -> None:
    """Prints as `print` does, but for control characters, and characters that the output cannot encode, which are escaped."""
    stream = sys.stdout if file is None else file
    text = printable(" ".join(map(str, values)), keep="\n\t")
    code = stream.encoding or "utf-8"
    print(text.encode(code, "backslashreplace").decode(code), end=end, file=stream, flush=flush)
