"""Finds this project's packages where a user's folder holds modules of the same names, such as a train.py."""

import sys
from importlib import import_module

from detrdistill.__main__ import HOME, prefer_our_packages

NAMES = ("core", "train")


def import_own_packages() -> None:
    """Imports the packages that the Python interface is made of, from their own folder; leaves the path as it is.

    ImportError: modules of the same names have been imported before.
    """
    before = list(sys.path)
    try:
        prefer_our_packages()
        for name in NAMES:
            path = import_module(name).__file__ or ""
            if not path.startswith(HOME):
                raise ImportError(f"{path} was imported as {name!r}, which detrdistill needs for itself; rename it")
    finally:
        sys.path[:] = before
