"""What a file of others holds, as a detector of ours. Each tensor is used, or named in the report."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core import detectors
from core.convert.architecture import Stated, architecture
from core.convert.classes import Classes, classes
from core.convert.read import ForeignWeights
from core.convert.tensors import RenamedTensors, renamed
from core.data.category import Category
from core.detectors.base import Detector
from core.errors import UserError
from core.runs.config import decode_detector

SIGNS = {  # of tensors' names: the detector that has them
    r"roi_head\.bbox_head\.\d+\.sampling_n_mixing\..*": "adamixer",
    r"(transformer|model)\.decoder\.layers\.\d+\.ca_qpos_sine_proj\..*": "conditional",
    r"(transformer|model)\.decoder\.layers\.\d+\.\w+\.sampling_offsets\..*": "deformable",
}
HEADS = {  # the last layers of the class heads
    "adamixer": r"stages\.\d+\.to_class\.3\.(weight|bias)",
    "conditional": r"to_class\.(weight|bias)",
    "deformable": r"to_class\.\d+\.(weight|bias)",
}


@dataclass(frozen=True)
class Converted:
    """A foreign detector as ours, and lines (title, text) that name what became of each tensor."""

    detector: Detector
    categories: tuple[Category, ...]
    report: tuple[tuple[str, str], ...]


def convert(foreign: ForeignWeights, given: Path | None = None) -> Converted:
    """UserError names the first tensor that does not fit, with the shapes. `given` names the classes."""
    named, said = renamed(foreign, kind_of(foreign)), Stated(foreign.said)
    config = architecture(named, said)
    count = config["classes"]
    kept = classes(foreign, named.kind, count, given)
    select(named, kept, count)
    model = build(named, config | {"classes": len(kept.rows)})
    model.load_state_dict(named)
    return Converted(model.eval(), kept.categories, tuple(report(named, kept, count, said.assumed)))


def build(named: RenamedTensors, config: dict) -> Detector:
    """Without memory first, so that what does not fit is said at once."""
    path, make = named.foreign.path, detectors.module(named.kind).Model
    config = decode_detector({"detector": named.kind, "config": config}, f"{path}")
    try:
        with torch.device("meta"):
            own = make(config).state_dict()
    except UserError:
        raise
    except ValueError as error:  # torch's: channels that GroupNorm cannot group, say
        raise UserError(f"{path} cannot be built: {error}") from None
    match(named, own)
    return make(config)


def kind_of(foreign: ForeignWeights) -> str:
    for sign, kind in SIGNS.items():
        if any(re.fullmatch(sign, name) for name in foreign.tensors):
            return kind
    said = f", and its config.json says {foreign.said['kind']!r}" if "kind" in foreign.said else ""
    raise UserError(
        f"{foreign.path} is no AdaMixer, Conditional DETR or Deformable DETR under its original names: "
        f"it begins with the tensor {next(iter(foreign.tensors))}{said}"
    )


def select(named: RenamedTensors, kept: Classes, count: int) -> None:
    """Rows of the class heads. A two-stage encoder's first row is no class, but any object, and stays the first."""
    if kept.rows == tuple(range(count)):
        return
    last = f"to_class.{named.count('to_class') - 1}." if named.two_stage else None
    for name in [name for name in named if re.fullmatch(HEADS[named.kind], name)]:
        x, rows = named[name], list(kept.rows)
        if not x.dim() or len(x) != count:
            raise named.misfit(name, (count, *x.shape[1:]))
        if last and name.startswith(last):
            rows = [0, *(row for row in rows if row)][: len(rows)]
        named[name] = x[rows]


def match(named: RenamedTensors, own: dict[str, Tensor]) -> None:
    for name, x in own.items():
        if name not in named and name.endswith("num_batches_tracked"):
            named[name] = torch.zeros_like(x, device="cpu")  # a counter that nothing reads
        elif named[name].shape != x.shape:
            raise named.misfit(name, tuple(x.shape))
    if more := sorted(named.keys() - own.keys()):
        key, shape = named.theirs(more[0]), tuple(named[more[0]].shape)
        raise UserError(f"{named.foreign.path} has the tensor {key} {shape}, which this {named.kind} lacks")


def report(named: RenamedTensors, kept: Classes, count: int, assumed: dict) -> list[tuple[str, str]]:
    known = [c.name for c in kept.categories]
    again = [name for names in named.origin.values() for name in names[1:]]
    gone = [str(row) for row in range(count) if row not in kept.rows]
    proposing = "; that of the encoder keeps row 0, any object, instead of its last class" if named.two_stage else ""
    lines = [
        ("used", f"{len(named.origin)} of the file's {len(named.foreign.tensors)} tensors"),
        ("copies", again and f"{brief(again)}: further names of tensors that are used"),
        *(("left out", f"{brief(names)}: {why}") for why, names in named.unused.items()),
        ("tied", named.tied and f"{brief(map(named.theirs, named.tied))}: not in the file, as number 0"),
        ("classes", f"{len(known)}, {kept.source}: {', '.join(known[:10])}{', ...' if known[10:] else ''}"),
        ("rows", gone and f"{', '.join(gone)} of the {count} in a class head are no class, and left out{proposing}"),
        ("assumed", ", ".join(f"{key} {value}" for key, value in assumed.items())),
    ]
    return [(title, text) for title, text in lines if text]


def brief(names: Iterable[str]) -> str:
    """Names, with numbers as stars."""
    forms = Counter(re.sub(r"\d+", "*", name) for name in names)
    return ", ".join(f"{form} ({count})" if count > 1 else form for form, count in forms.items())
