"""Starts a student from a trained detector: takes its architecture and weights, and makes class heads for the data's classes."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from core.convert.class_heads import with_classes
from core.convert.open_weights import model_type, open_weights
from core.convert.query_rows import query_tensors, with_queries
from core.data.category import Category
from core.detectors import name_of
from core.detectors.base import Detector, DetectorConfig
from core.errors import UserError
from core.runs.checkpoint import load_detector, read_tensors, weights_file


@dataclass(frozen=True)
class Start:
    """A trained detector from which a student starts, and the names of its classes."""

    source: Path
    detector: Detector
    classes: tuple[str, ...]
    queries: str = ""  # a text on the queries, if it has more or fewer than its source


def read_start(path: Path, recipe: DetectorConfig, queries: int | None = None) -> Start | None:
    """The detector at `path`, with the number of queries that is asked for; None leaves its own. None: see `open_start`."""
    start = open_start(path, recipe)
    if start is None or queries in (None, start.detector.config.queries):
        return start
    return with_number(start, queries)


def with_number(start: Start, queries: int) -> Start:
    """The same detector with more or fewer queries."""
    before = start.detector.config.queries
    text = f"{queries} queries for {before}"
    if query_tensors(start.detector):
        text += f", of which the first {min(before, queries)} are taken" + (
            " and the others new" if queries > before else ""
        )
    return replace(start, detector=with_queries(start.detector, queries), queries=text)


def open_start(path: Path, recipe: DetectorConfig) -> Start | None:
    """The detector at `path`: a run, a detector's file, or a folder that transformers saved. None: the file is of a backbone.

    A folder of a family that this project has too becomes its detector, unless the recipe's student is of the hub. UserError:
    the folder is neither.
    """
    if path.is_dir() and not weights_file(path).is_file():
        if model_type(path) is None:
            raise UserError(
                f"--init {path} is neither a run nor a folder that transformers saved: it has no config.json"
            )
        converted = open_weights(path, hub=name_of(recipe) == "hub")
        return Start(path, converted.detector, tuple(c.name for c in converted.categories))
    file = weights_file(path)
    if file.suffix != ".safetensors" or "detector" not in read_tensors(file)[1]:
        return None
    detector, card = load_detector(file)
    return Start(path, detector, tuple(c["name"] for c in card.get("categories", ())))


def started(start: Start, categories: Sequence[Category]) -> Detector:
    """The student: the detector with the data's classes, in training mode.

    A class that the detector knows by its name keeps its row of the class heads, others get new rows.
    """
    names = [c.name for c in categories]
    if names == list(start.classes):
        return start.detector.train()
    known = {name: row for row, name in enumerate(start.classes)}
    return with_classes(start.detector, tuple(known.get(name) for name in names)).train()


def describe_start(start: Start, categories: Sequence[Category], recipe: DetectorConfig) -> str:
    """A sentence on what a student takes over: which classes get new rows, and an architecture that is not the recipe's."""
    names = [c.name for c in categories]
    new = [name for name in names if name not in start.classes]
    parts = [f"{start.source}: all weights"]
    if names != list(start.classes):
        listed = ", ".join(new[:5]) + (", ..." if new[5:] else "")
        change = (
            f"{len(new)} of {len(names)} classes get new rows ({listed})"
            if new
            else "rows of other classes are left out"
        )
        parts.append(f"but in the class heads {change}")
    if start.queries:
        parts.append(start.queries)
    if changes := differences(recipe, start.detector.config):
        parts.append(f"its architecture replaces the recipe's ({changes})")
    return "; ".join(parts)


def differences(recipe: Any, taken: Any) -> str:
    """The options in which the detector that is taken differs from the recipe's, in a few words."""
    if name_of(recipe) != name_of(taken):
        return f"{name_of(taken)} for {name_of(recipe)}"
    compared = [f.name for f in fields(taken) if f.name not in ("classes", "config_json", "matching")]
    pairs = {name: (getattr(recipe, name), getattr(taken, name)) for name in compared}
    return ", ".join(f"{name} {new} for {old}" for name, (old, new) in pairs.items() if old != new)
