"""The header of the page: the detectors of a run, their AP, its classes and images."""

from app.worker.samples import Samples
from core.detectors.base import Detector
from core.losses import features
from core.metrics.query_quality import GAMMA
from core.runs.open import OpenRun
from core.runs.results import best_ap


def about(id: str, samples: Samples) -> dict:
    """The header of the run that the page knows by this id."""
    run = samples.run
    aps, teacher = average_precision(run), run.distiller.teacher
    loss = run.distiller.losses["features"] if "features" in run.distiller.losses else None
    return {
        "id": id,
        "student": detector(run.distiller.student, aps.get("student")),
        "teacher": None if teacher is None else detector(teacher, aps.get("teacher")),
        "layers": run.distiller.student.config.layers,
        "classes": list(samples.classes),
        "images": len(run.data.ids),
        "first": samples.opening,
        "notes": list(run.notes),
        "strides": [] if teacher is None else list(teacher.strides),
        "gamma": loss.config.gamma if isinstance(loss, features.Model) else GAMMA,
    }


def detector(model: Detector, ap: float | None) -> dict:
    """The size of a detector, and its AP where it was measured."""
    config = model.config
    return {
        "kind": model.kind,
        "backbone": model.backbone_name,
        "layers": config.layers,
        "queries": config.queries,
        "strides": list(model.strides),
        "ap": ap,
    }


def average_precision(run: OpenRun) -> dict[str, float]:
    """The best AP that training measured of "student" and "teacher".

    A teacher that replaces the run's own was not measured in this training, so it has none.
    """
    aps = best_ap(run.path) if run.path.is_dir() else {}
    return aps if run.card.get("teacher") else {name: ap for name, ap in aps.items() if name != "teacher"}
