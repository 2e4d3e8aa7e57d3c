"""Each module in this folder is one figure, its file's name is its name: `make(folder) -> Figure`."""

import pkgutil
from importlib import import_module


def names() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def make(name: str, folder):
    """The figure of a run's or a study's folder; UserError says in one sentence what is missing."""
    return import_module(f"{__name__}.{name}").make(folder)
