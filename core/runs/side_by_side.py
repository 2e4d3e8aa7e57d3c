"""Distillers for detectors that were not trained together: one detector alone, or any student with any teacher."""

from pathlib import Path

from core import losses
from core.detectors.base import Detector
from core.distiller import Distiller, map_weights
from core.errors import UserError
from core.losses.base import Loss
from core.runs.checkpoint import Load, load_detector, weights_file
from core.runs.class_mapping import categories_of, class_map, map_classes

PAPER_LOSSES = ("logits", "features", "prior")  # of DETRDistill


def open_alone(path: Path, load: Load = load_detector) -> tuple[Distiller, dict]:
    """The detector of a run or a file with the detection loss, and its card."""
    student, card = load(weights_file(path))
    return untrained_distiller(student, None, ("detection",))[0], card


def open_pair(student: Path, teacher: Path, load: Load = load_detector) -> tuple[Distiller, dict, tuple[str, ...]]:
    """A student and a teacher with the detection loss and DETRDistill's losses; the student's card; and notes.

    The losses have weight 1 and are untrained. Classes are paired by name; the teacher need not know all of the student's. A
    loss that does not fit the pair is left out, and a note says why. UserError: one of the two cannot be read, or they have
    no class in common.
    """
    (student_model, card), (teacher_model, teacher_card) = load(weights_file(student)), load(weights_file(teacher))
    classes, teacher_classes = (
        [c.name for c in categories_of(x, file)] for x, file in ((card, student), (teacher_card, teacher))
    )
    missing: dict[str, list[str]] = {name: [] for name in classes if name not in teacher_classes}
    columns = class_map(classes, teacher_classes, missing, str(teacher))
    pair, notes = untrained_distiller(student_model, map_classes(teacher_model, columns), ("detection", *PAPER_LOSSES))
    return pair, card, notes


def untrained_distiller(
    student: Detector, teacher: Detector | None, wanted: tuple[str, ...]
) -> tuple[Distiller, tuple[str, ...]]:
    """A Distiller, in eval mode, with those of the wanted losses that fit the detectors; and why the others do not."""
    parts: dict[str, Loss] = {}
    notes: list[str] = []
    for name in wanted:
        try:
            parts[name] = losses.build(name, losses.module(name).Config(weight=1.0), student, teacher)
        except UserError as error:
            notes.append(str(error))
    weights = map_weights(parts, dict.fromkeys(parts, 1.0))
    return Distiller(student, parts, weights, teacher).eval(), tuple(notes)
