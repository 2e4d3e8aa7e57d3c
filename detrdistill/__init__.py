"""DETRDistill: knowledge distillation for the DETR family.

    import detrdistill as dd

    model = dd.load("runs/coco_distill")
    for d in model.predict("photo.jpg"):
        print(d.label, d.score, d.box)

The names below are stable. They are imported when they are first used, since torch takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.errors import UserError as UserError
    from detrdistill.model import Model as Model
    from detrdistill.model import load as load
    from detrdistill.results import Detection as Detection
    from detrdistill.results import Result as Result
    from detrdistill.training import fit as fit

PLACES = {
    "load": "detrdistill.model",
    "Model": "detrdistill.model",
    "Detection": "detrdistill.results",
    "Result": "detrdistill.results",
    "fit": "detrdistill.training",
    "UserError": "core.errors",
}
__all__ = ["Detection", "Model", "Result", "UserError", "fit", "load"]


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"detrdistill has no {name!r}; it has {', '.join(PLACES)}")
    from detrdistill.own_packages import import_own_packages

    import_own_packages()
    return getattr(import_module(PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
