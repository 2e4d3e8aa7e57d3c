"""Detectors. Each module in this folder is one detector, and its file's name is its name; `base` and files that begin with _ are not."""

from pathlib import Path
from types import ModuleType

from core.drop_ins import DropIns

FILES = DropIns(Path(__file__).parent, __name__, "detector", ("Config", "Model"))


def names() -> list[str]:
    """The names of all detectors."""
    return FILES.names()


def module(name: str) -> ModuleType:
    """The detector's module, with its `Config` and `Model`; ValueError names the alternatives."""
    return FILES.module(name)


def build(name: str, **options):
    """A detector with new weights; `options` are fields of its `Config`."""
    return module(name).Model(module(name).Config(**options))


def name_of(config) -> str:
    """The detector's name, given its Config: the name of the file that defines the Config."""
    return type(config).__module__.rsplit(".", 1)[-1]
