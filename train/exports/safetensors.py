"""The student alone, with its card: what any later version opens as a teacher, to measure it, or to export it again."""

from pathlib import Path

from core.detectors.base import Detector
from core.runs.checkpoint import save_detector


def export(detector: Detector, card: dict, folder: Path) -> str:
    """Adapters of losses, the teacher and the state of training stay behind; gives what to do with the folder."""
    save_detector(folder / "student.safetensors", detector, card)
    return "open it as any run: python -m train eval {folder}"
