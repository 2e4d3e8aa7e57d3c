"""What a step frees stays with the process for the next one, rather than going back to the system page by page.

Worth a tenth to a fifth of a small step on a CPU.
"""

import ctypes
import os

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST = 1 << 30, 1 << 25  # bytes; glibc takes no more for the second


def keep_freed() -> None:
    """With glibc; elsewhere nothing happens. What the environment says of malloc goes first."""
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for option, value in zip((TRIM_THRESHOLD, MMAP_THRESHOLD), LARGEST):
            mallopt(option, value)
