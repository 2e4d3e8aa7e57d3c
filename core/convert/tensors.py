"""Renames the tensors of foreign weights to the names that this project's detectors have."""

import re
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

from core import detectors
from core.convert.read import ForeignWeights
from core.errors import UserError
from core.tensor_names import OURS, to_native, translate

IGNORED = {  # patterns of names in the file, and the reason that the report gives
    r".*\.total_(ops|params)": "left behind by a counter of operations",
    r"rpn_head\.init_proposal_bboxes\.weight": "the first boxes are the whole image in any case",
}


class RenamedTensors(dict[str, Tensor]):
    """The tensors of foreign weights by their new names. A missing tensor raises UserError with its name in the file."""

    def __init__(self, foreign: ForeignWeights, kind: str):
        """Starts without tensors, see `add`. `kind` is the name of the detector."""
        super().__init__()
        self.foreign, self.kind = foreign, kind
        self.file_names: dict[str, list[str]] = {}  # names in the file of each tensor, the first and its copies
        self.unused: dict[str, list[str]] = {}  # names in the file of ignored tensors, by reason
        self.tied: list[str] = []  # new names of tensors that the file leaves out since they equal the first head's

    def __missing__(self, name: str) -> Tensor:
        raise UserError(f"{self.foreign.path} lacks the tensor {self.name_in_file(name)}")

    def name_in_file(self, name: str) -> str:
        """The file's name for a tensor, or the name that it would have there."""
        key = translate(name, detectors.module(self.kind).NAMES, OURS, self.foreign.style)[0]
        key = self.file_names.get(name, [key])[0].replace(".qkv_proj.", ".{q,k,v}_proj.")
        return to_native(key) if self.foreign.native_backbone and "backbone" in key else key

    def add(self, name: str, file_name: str, x: Tensor) -> None:
        """Adds a tensor, or one more copy of it. UserError: it is empty, not finite, or not equal to the first copy."""
        if not x.numel():
            raise UserError(f"{self.foreign.path} does not fit: {file_name} is empty, of shape {tuple(x.shape)}")
        refuse_not_finite(file_name, x, self.foreign.path)
        copies = self.file_names.setdefault(name, [])
        if copies and not torch.equal(self[name], x):
            raise UserError(
                f"{self.foreign.path}: {copies[0]} and {file_name} differ, but are one tensor of this detector"
            )
        copies.append(file_name)
        self[name] = x

    @property
    def two_stage(self) -> bool:
        """Returns whether the detector takes its queries from proposals of the encoder."""
        return any(name.startswith(("to_proposal.", "proposal_norm.", "to_query.", "query_norm.")) for name in self)

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """The shape of a tensor. UserError: it does not have this number of axes."""
        if self[name].dim() != axes:
            raise self.shape_error(name, f"{axes} axes")
        return tuple(self[name].shape)

    def shape_error(self, name: str, needed: object) -> UserError:
        """The error of a tensor whose shape is not `needed`."""
        shape = tuple(self[name].shape)
        return UserError(
            f"{self.foreign.path} does not fit: {self.name_in_file(name)} has the shape {shape}, not {needed}"
        )

    def common_length(self, pattern: str, axis: int) -> int:
        """The length of an axis that most tensors have whose names match the pattern; `*` stands for the number of a layer.

        So one wrong layer does not change the architecture, and is reported as the one that does not fit.
        """
        names = re.compile(re.escape(pattern).replace(r"\*", r"\d+"))
        lengths = [x.shape[axis] for name, x in self.items() if names.fullmatch(name) and x.dim() > axis]
        return Counter(lengths).most_common(1)[0][0] if lengths else self[pattern.replace("*", "0")].shape[axis]

    def count(self, stem: str) -> int:
        """The number of parts stem.0, stem.1 ..., by the largest number that occurs."""
        matches = (re.match(rf"{re.escape(stem)}\.(\d+)\.", name) for name in self)
        return 1 + max((int(m[1]) for m in matches if m), default=-1)


def rename_tensors(foreign: ForeignWeights, kind: str) -> RenamedTensors:
    """The tensors under the names that a detector of this kind has.

    UserError: the detector has no such tensor, or two copies of a tensor differ.
    """
    tensors, rows = RenamedTensors(foreign, kind), detectors.module(kind).NAMES
    shared = kind == "deformable" and not has_box_refinement(foreign)  # one pair of heads, listed for each layer
    for file_name, x in foreign.tensors.items():
        names = translate(file_name, rows, foreign.style, OURS)
        if reason := next((reason for pattern, reason in IGNORED.items() if re.fullmatch(pattern, file_name)), None):
            tensors.unused.setdefault(reason, []).append(file_name)
        elif not names:
            raise UserError(f"{foreign.path} has the tensor {file_name} {tuple(x.shape)}, which no {kind} has")
        else:
            name = re.sub(r"^(to_class|to_box)\.\d+", r"\1.0", names[0]) if shared else names[0]
            tensors.add(name, file_name, x)
    if foreign.options.get("tied") and not shared and kind == "deformable":
        add_tied_heads(tensors)
    return tensors


def has_box_refinement(foreign: ForeignWeights) -> bool:
    """Returns whether a Deformable DETR refines boxes from layer to layer: by its options, or else by its tensors."""
    return foreign.options.get("refine", any("decoder.bbox_embed." in name for name in foreign.tensors))


def add_tied_heads(tensors: RenamedTensors) -> None:
    """Adds the heads of later layers that transformers left out of the file, because they equal those of the first layer."""
    for first in [name for name in tensors if re.match(r"to_(class|box)\.0\.", name)]:
        for k in range(1, tensors.count("decoder") + tensors.two_stage):
            other = first.replace(".0.", f".{k}.", 1)
            if other not in tensors:
                tensors[other] = tensors[first]
                tensors.tied.append(other)


def refuse_not_finite(name: str, x: Tensor, path: Path) -> None:
    """UserError: a tensor of the file or folder `path` holds numbers that are NaN or infinite."""
    if x.is_floating_point() and not x.isfinite().all():
        raise UserError(f"{path}: {name} holds numbers that are NaN or infinite; take another file")
