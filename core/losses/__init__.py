"""Each module in this folder but `base` is one loss, and its file's name is its name."""

import pkgutil
from importlib import import_module

from core.losses.base import Loss


def names() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "base")


def module(name: str):
    """The loss's module, with its `Config` and `Model`; ValueError names the alternatives."""
    if name not in names():
        raise ValueError(f"no loss {name!r}; there are {', '.join(names())}")
    return import_module(f"{__name__}.{name}")


def build(name: str, config, student, teacher) -> Loss:
    """The loss for this pair of detectors; UserError in one sentence where they do not fit."""
    return module(name).Model(config, student, teacher)
