"""All losses. Each module of this folder is one loss, named like its file, except `base` and files that begin with _."""

from pathlib import Path
from types import ModuleType

from core.drop_ins import DropIns
from core.losses.base import DetectorSpec, Loss, LossConfig

FILES = DropIns(Path(__file__).parent, __name__, "loss", ("Config", "Model"))


def names() -> list[str]:
    """The names of all losses."""
    return FILES.names()


def module(name: str) -> ModuleType:
    """The module of a loss, with its `Config` and `Model`; ValueError names the alternatives."""
    return FILES.module(name)


def build(name: str, config: LossConfig, student: DetectorSpec, teacher: DetectorSpec | None) -> Loss:
    """Builds a loss for this pair of detectors; UserError, in one sentence, where they do not fit."""
    model: Loss = module(name).Model(config, student, teacher)
    return model
