"""The student alone, with its card: a file that `eval`, `export`, the app and --teacher open."""

from pathlib import Path

from core.detectors.base import Detector
from core.runs.checkpoint import save_detector


def export(detector: Detector, card: dict, folder: Path) -> str:
    """Writes the student without losses, teacher and training state; returns the command that uses the folder."""
    save_detector(folder / "student.safetensors", detector, card)
    return "open it as any run: python -m train eval {folder}"
