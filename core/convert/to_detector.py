"""Converts foreign weights to a detector of this project. Each tensor of the file is used, or named in the report."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core import detectors
from core.convert.architecture import StatedOptions, infer_architecture
from core.convert.classes import Classes, choose_classes
from core.convert.read import ForeignWeights
from core.convert.tensors import RenamedTensors, rename_tensors
from core.data.category import Category
from core.data.transforms import Augment
from core.detectors.base import Detector
from core.errors import UserError
from core.limits import refuse_outside
from core.runs.config import decode_detector

SIGNS = {  # patterns of names in the file, each of one detector only
    r"roi_head\.bbox_head\.\d+\.sampling_n_mixing\..*": "adamixer",
    r"(transformer|model)\.decoder\.layers\.\d+\.ca_qpos_sine_proj\..*": "conditional",
    r"(transformer|model)\.decoder\.layers\.\d+\.\w+\.sampling_offsets\..*": "deformable",
}
CLASS_HEADS = {  # the new names of the tensors whose rows are classes: the last layers of the class heads
    "adamixer": r"stages\.\d+\.to_class\.3\.(weight|bias)",
    "conditional": r"to_class\.(weight|bias)",
    "deformable": r"to_class\.\d+\.(weight|bias)",
}


@dataclass(frozen=True)
class Converted:
    """A converted detector with its classes."""

    detector: Detector
    categories: tuple[Category, ...]
    report: tuple[tuple[str, str], ...]  # lines (title, text) that say what became of each tensor
    augment: Augment  # the size of images in evaluation


def convert(foreign: ForeignWeights, class_file: Path | None = None) -> Converted:
    """Builds the detector and loads the weights into it. `class_file` names the classes, see `choose_classes`.

    UserError: it is none of the detectors, the classes do not fit, or a tensor does not; the first such tensor is named.
    """
    tensors, options = rename_tensors(foreign, kind_of(foreign)), StatedOptions(foreign.options)
    config = infer_architecture(tensors, options)
    count = config["classes"]
    classes = choose_classes(foreign, tensors.kind, count, class_file)
    select_rows(tensors, classes, count)
    model = build(tensors, config | {"classes": len(classes.rows)})
    model.load_state_dict(tensors)
    lines = tuple(report(tensors, classes, count, options.assumed))
    return Converted(model.eval(), classes.categories, lines, foreign.augment)


def build(tensors: RenamedTensors, config: dict[str, Any]) -> Detector:
    """The detector, with random weights. UserError: it cannot be built, or the tensors do not fit it.

    It is built on torch's meta device first, without memory, so that an error comes at once.
    """
    path, make = tensors.foreign.path, detectors.module(tensors.kind).Model
    decoded = decode_detector({"detector": tensors.kind, "config": config}, f"{path}")
    refuse_outside(decoded, f"{path}: ")
    try:
        with torch.device("meta"):
            needed = make(decoded).state_dict()
    except UserError:
        raise
    except ValueError as error:  # from torch, for example if GroupNorm cannot divide the channels
        raise UserError(f"{path} cannot be built: {error}") from None
    check_shapes(tensors, needed)
    return make(decoded)


def kind_of(foreign: ForeignWeights) -> str:
    """The name of the detector whose tensors the file has. UserError: it is none of them."""
    for sign, kind in SIGNS.items():
        if any(re.fullmatch(sign, name) for name in foreign.tensors):
            return kind
    stated = f", and its config.json says {foreign.options['kind']!r}" if "kind" in foreign.options else ""
    raise UserError(
        f"{foreign.path} is no AdaMixer, Conditional DETR or Deformable DETR under its original names: "
        f"it begins with the tensor {next(iter(foreign.tensors))}{stated}"
    )


def select_rows(tensors: RenamedTensors, classes: Classes, count: int) -> None:
    """Keeps the rows of the class heads that are classes, in their order. UserError: a head does not have `count` rows.

    In the head of a two-stage encoder, row 0 does not stand for a class but for any object; it stays the first row.
    """
    if classes.rows == tuple(range(count)):
        return
    encoder_head = f"to_class.{tensors.count('to_class') - 1}." if tensors.two_stage else None
    for name in [name for name in tensors if re.fullmatch(CLASS_HEADS[tensors.kind], name)]:
        x, rows = tensors[name], list(classes.rows)
        if not x.dim() or len(x) != count:
            raise tensors.shape_error(name, (count, *x.shape[1:]))
        if encoder_head and name.startswith(encoder_head):
            rows = [0, *(row for row in rows if row)][: len(rows)]
        tensors[name] = x[rows]


def check_shapes(tensors: RenamedTensors, needed: dict[str, Tensor]) -> None:
    """UserError: a tensor of the detector is missing or has another shape, or the detector lacks one of the file's.

    Counters of BatchNorm that the file lacks are added as 0; nothing reads them.
    """
    for name, x in needed.items():
        if name not in tensors and name.endswith("num_batches_tracked"):
            tensors[name] = torch.zeros_like(x, device="cpu")
        elif tensors[name].shape != x.shape:
            raise tensors.shape_error(name, tuple(x.shape))
    if unknown := sorted(tensors.keys() - needed.keys()):
        key, shape = tensors.name_in_file(unknown[0]), tuple(tensors[unknown[0]].shape)
        raise UserError(f"{tensors.foreign.path} has the tensor {key} {shape}, which this {tensors.kind} lacks")


def report(tensors: RenamedTensors, classes: Classes, count: int, assumed: dict[str, Any]) -> list[tuple[str, str]]:
    """The lines of the report, as (title, text). Lines without a text are left out."""
    copies = [name for file_names in tensors.file_names.values() for name in file_names[1:]]
    dropped = [str(row) for row in range(count) if row not in classes.rows]
    encoder = "; that of the encoder keeps row 0, any object, instead of its last class" if tensors.two_stage else ""
    lines = [
        ("used", f"{len(tensors.file_names)} of the file's {len(tensors.foreign.tensors)} tensors"),
        ("copies", copies and f"{starred(copies)}: further names of tensors that are used"),
        *(("left out", f"{starred(unused)}: {reason}") for reason, unused in tensors.unused.items()),
        (
            "tied",
            tensors.tied and f"{starred(map(tensors.name_in_file, tensors.tied))}: not in the file, equal to number 0",
        ),
        ("classes", class_line(classes)),
        (
            "rows",
            dropped and f"{', '.join(dropped)} of the {count} in a class head are no class, and left out{encoder}",
        ),
        ("assumed", ", ".join(f"{key} {value}" for key, value in assumed.items())),
    ]
    return [(title, text) for title, text in lines if text]


def class_line(classes: Classes) -> str:
    """The number of classes, where their names come from, and the first names."""
    names = [c.name for c in classes.categories]
    return f"{len(names)}, {classes.source}: {', '.join(names[:10])}{', ...' if names[10:] else ''}"


def starred(names: Iterable[str]) -> str:
    """The names with `*` for numbers, each once, with the number of names if there are several."""
    patterns = Counter(re.sub(r"\d+", "*", name) for name in names)
    return ", ".join(f"{pattern} ({count})" if count > 1 else pattern for pattern, count in patterns.items())
