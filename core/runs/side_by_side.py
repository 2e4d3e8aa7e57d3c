"""Detectors that were not trained together: one alone, or any student beside any teacher."""

from pathlib import Path

from torch import nn

from core import losses
from core.detectors.base import Detector
from core.distiller import Distiller, map_weights
from core.errors import UserError
from core.runs.checkpoint import Load, load_detector, weights_file
from core.runs.class_mapping import class_map, map_classes

MEET = ("logits", "features", "prior")  # DETRDistill's


def open_alone(path: Path, load: Load = load_detector) -> tuple[Distiller, dict]:
    """A run's or a file's detector with the detection loss, and its card."""
    student, card = load(weights_file(path))
    return distiller(student, None, ("detection",))[0], card


def open_pair(student: Path, teacher: Path, load: Load = load_detector) -> tuple[Distiller, dict, tuple[str, ...]]:
    """The two with the detection loss and DETRDistill's, each of weight 1 and untrained; the student's card; notes.

    Classes meet by name; the teacher need not know all. A loss that the two do not fit is left out, and its reason is a
    note. UserError: one of them cannot be read, or they have no class in common.
    """
    (mine, card), (theirs, other) = load(weights_file(student)), load(weights_file(teacher))
    ours, known = ([c["name"] for c in x["categories"]] for x in (card, other))
    told = class_map(ours, known, {name: [] for name in ours if name not in known}, str(teacher))
    found, notes = distiller(mine, map_classes(theirs, told), ("detection", *MEET))
    return found, card, notes


def distiller(
    student: Detector, teacher: Detector | None, wanted: tuple[str, ...]
) -> tuple[Distiller, tuple[str, ...]]:
    parts: dict[str, nn.Module] = {}
    notes: list[str] = []
    for name in wanted:
        try:
            parts[name] = losses.build(name, losses.module(name).Config(weight=1.0), student, teacher)
        except UserError as error:
            notes.append(str(error))
    weights = map_weights(parts, dict.fromkeys(parts, 1.0))
    return Distiller(student, parts, weights, teacher).eval(), tuple(notes)
