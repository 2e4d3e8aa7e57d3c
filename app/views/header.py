"""What run this is, as plain data."""

from app.worker.samples import Samples
from core.detectors.base import Detector
from core.metrics.query_quality import GAMMA
from core.runs.open import OpenRun
from core.runs.results import best_ap


def about(id: str, samples: Samples) -> dict:
    run = samples.run
    aps, teacher = scores(run), run.distiller.teacher
    return {
        "id": id,
        "student": one(run.distiller.student, aps.get("student")),
        "teacher": teacher and one(teacher, aps.get("teacher")),
        "layers": run.distiller.student.config.layers,
        "classes": list(run.classes),
        "images": len(run.data.ids),
        "first": f"image/{run.data.ids[0]}",
        "notes": list(run.notes),
        "strides": [] if teacher is None else list(teacher.strides),
        "gamma": losses["features"].config.gamma if "features" in (losses := run.distiller.losses) else GAMMA,
    }


def one(detector: Detector, ap: float | None) -> dict:
    config = detector.config
    return {
        "kind": detector.kind,
        "backbone": config.backbone,
        "layers": config.layers,
        "queries": config.queries,
        "strides": list(detector.strides),
        "ap": ap,
    }


def scores(run: OpenRun) -> dict[str, float]:
    """As training measured them; a teacher that was put beside a student later was not measured there."""
    found = best_ap(run.path) if run.path.is_dir() else {}
    return found if run.card.get("teacher") else {name: ap for name, ap in found.items() if name != "teacher"}
