"""Each module in this folder but `base` is one detector, and its file's name is its name."""

import pkgutil
from importlib import import_module


def names() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "base")


def module(name: str):
    """The detector's module, with its `Config` and `Model`; ValueError names the alternatives."""
    if name not in names():
        raise ValueError(f"no detector {name!r}; there are {', '.join(names())}")
    return import_module(f"{__name__}.{name}")


def build(name: str, **options):
    return module(name).Model(module(name).Config(**options))


def name_of(config) -> str:
    """The name under which a detector's Config was found."""
    return type(config).__module__.rsplit(".", 1)[-1]
