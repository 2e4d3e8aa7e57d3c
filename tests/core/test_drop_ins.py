"""Folders of drop-ins are read by several threads at once, as the app's requests do."""

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import pytest

from core import drop_ins


@pytest.fixture
def switching():
    """Threads take turns at nearly every step, also while a syntax tree is built."""
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.callbacks.append(run_python)
    gc.set_threshold(100)
    sys.setswitchinterval(1e-6)
    yield
    gc.callbacks.remove(run_python)
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)


def run_python(phase: str, information: dict) -> None:
    sum(range(300))


def test_threads_parse_at_once(switching):
    """CPython 3.11 raises SystemError in about one of twenty of these without a lock."""
    with ThreadPoolExecutor(8) as pool:
        names_of_each = list(pool.map(drop_ins.defined, repeat(Path(drop_ins.__file__), 200)))
    assert all("DropIns" in names for names in names_of_each)
