"""Detectors by name: each module in this folder is one detector with the name of its file.

`base`, which says what a detector must do, and files that begin with _ are not detectors. Importing this package imports
neither torch nor any detector.
"""

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from core.drop_ins import DropIns

if TYPE_CHECKING:
    import core.detectors.base

FILES = DropIns(Path(__file__).parent, __name__, "detector", ("Config", "Model"))


def names() -> list[str]:
    """The names of all detectors."""
    return FILES.names()


def module(name: str) -> ModuleType:
    """The detector's module, with its `Config` and `Model`; ValueError names the alternatives."""
    return FILES.module(name)


def build(name: str, **options: Any) -> "core.detectors.base.Detector":
    """A detector with new weights; `options` are fields of its `Config`."""
    return module(name).Model(module(name).Config(**options))


def name_of(config: "core.detectors.base.DetectorConfig") -> str:
    """The detector's name, given its Config: the name of the file that defines the Config."""
    return type(config).__module__.rsplit(".", 1)[-1]
