"""The memory of this machine, and a limit to what a piece of work may take of it. Imports no torch."""

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

SPARE = 2**29  # bytes beside those of the file


def physical_memory() -> int:
    """The bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@contextlib.contextmanager
def limited_to_file(path: Path) -> Iterator[None]:
    """While open, this process may take three times the size of a file, and SPARE, in addition to what it has.

    A small file of a stranger can ask for more memory than there is: MemoryError or RuntimeError then, instead of a machine that
    comes to a halt. Without effect where the system does not say how much memory a process has.
    """
    pages = Path("/proc/self/statm")
    if not pages.exists():
        yield
        return
    taken = int(pages.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = taken + 3 * path.stat().st_size + SPARE
    known = [x for x in (soft, hard, wanted) if x != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(known), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
