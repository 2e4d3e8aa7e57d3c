"""Losses. Each module in this folder is one loss, and its file's name is its name; `base` and files that begin with _ are not."""

from pathlib import Path
from types import ModuleType

from core.drop_ins import DropIns
from core.losses.base import Loss

FILES = DropIns(Path(__file__).parent, __name__, "loss", ("Config", "Model"))


def names() -> list[str]:
    """The names of all losses."""
    return FILES.names()


def module(name: str) -> ModuleType:
    """The loss's module, with its `Config` and `Model`; ValueError names the alternatives."""
    return FILES.module(name)


def build(name: str, config, student, teacher) -> Loss:
    """The loss for this pair of detectors; UserError in one sentence where they do not fit."""
    return module(name).Model(config, student, teacher)
