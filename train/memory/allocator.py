"""Makes glibc keep freed memory in the process for the next step, instead of returning it to the system page by page.

This saves a tenth to a fifth of the time of a small step on a CPU. A large one needs up to a tenth less time and some 5% more
memory than with blocks above 32 MB in mappings of their own.
"""

import ctypes
import os

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # the options M_TRIM_THRESHOLD and M_MMAP_MAX of glibc's malloc.h
KEPT = 1 << 30  # bytes at the end of the heap that are not returned


def keep_freed_memory() -> None:
    """Sets the options; does nothing without glibc, or if a MALLOC_* environment variable sets options already."""
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(TRIM_THRESHOLD, KEPT)
        mallopt(MMAP_MAX, 0)  # a block of its own mapping would be returned as soon as it is freed
