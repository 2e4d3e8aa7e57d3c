"""A foreign file's tensors by our names."""

import re
from collections import Counter

import torch
from torch import Tensor

from core import detectors
from core.convert.read import ForeignWeights
from core.errors import UserError
from core.tensor_names import OURS, to_native, translate

DROPPED = {
    r".*\.total_(ops|params)": "left behind by a counter of operations",
    r"rpn_head\.init_proposal_bboxes\.weight": "the first boxes are the whole image in any case",
}


class RenamedTensors(dict[str, Tensor]):
    """One that is missing is missed in a sentence, by the file's own name for it."""

    def __init__(self, foreign: ForeignWeights, kind: str):
        super().__init__()
        self.foreign, self.kind = foreign, kind
        self.origin: dict[str, list[str]] = {}  # the file's names of each
        self.unused: dict[str, list[str]] = {}  # the file's names of what is left out, by reason
        self.tied: list[str] = []  # what the file leaves out, since it is as the first of its kind

    def __missing__(self, name: str):
        raise UserError(f"{self.foreign.path} lacks the tensor {self.theirs(name)}")

    def theirs(self, name: str) -> str:
        """What the file calls it, or would."""
        key = translate(name, detectors.module(self.kind).NAMES, OURS, self.foreign.style)[0]
        key = self.origin.get(name, [key])[0].replace(".qkv_proj.", ".{q,k,v}_proj.")
        return to_native(key) if self.foreign.native and "backbone" in key else key

    def put(self, ours: str, theirs: str, x: Tensor) -> None:
        """UserError: it is empty, or another name of the same tensor had another value."""
        if not x.numel():
            raise UserError(f"{self.foreign.path} does not fit: {theirs} is empty, of shape {tuple(x.shape)}")
        first = self.origin.setdefault(ours, [])
        if first and not torch.equal(self[ours], x):
            raise UserError(f"{self.foreign.path}: {first[0]} and {theirs} differ, but are one tensor of this detector")
        first.append(theirs)
        self[ours] = x

    @property
    def two_stage(self) -> bool:
        return any(name.startswith(("to_proposal.", "proposal_norm.", "to_query.", "query_norm.")) for name in self)

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """UserError: it has more axes, or fewer."""
        if self[name].dim() != axes:
            raise self.misfit(name, f"{axes} axes")
        return tuple(self[name].shape)

    def misfit(self, name: str, needed) -> UserError:
        shape = tuple(self[name].shape)
        return UserError(f"{self.foreign.path} does not fit: {self.theirs(name)} has the shape {shape}, not {needed}")

    def usual(self, form: str, axis: int) -> int:
        """The length of a tensor that most layers, `*` in its name, have."""
        wanted = re.compile(re.escape(form).replace(r"\*", r"\d+"))
        lengths = [x.shape[axis] for name, x in self.items() if wanted.fullmatch(name) and x.dim() > axis]
        return Counter(lengths).most_common(1)[0][0] if lengths else self[form.replace("*", "0")].shape[axis]

    def count(self, stem: str) -> int:
        """Of the parts stem.0, stem.1 .."""
        found = (re.match(rf"{re.escape(stem)}\.(\d+)\.", name) for name in self)
        return 1 + max((int(m[1]) for m in found if m), default=-1)


def renamed(foreign: ForeignWeights, kind: str) -> RenamedTensors:
    """UserError: a tensor that no such detector has, or two that should be one."""
    named, rows = RenamedTensors(foreign, kind), detectors.module(kind).NAMES
    shared = kind == "deformable" and not refined(foreign)  # one pair of heads, which is listed for each layer
    for name, x in foreign.tensors.items():
        ours = translate(name, rows, foreign.style, OURS)
        if why := next((why for sign, why in DROPPED.items() if re.fullmatch(sign, name)), None):
            named.unused.setdefault(why, []).append(name)
        elif not ours:
            raise UserError(f"{foreign.path} has the tensor {name} {tuple(x.shape)}, which no {kind} has")
        else:
            named.put(re.sub(r"^(to_class|to_box)\.\d+", r"\1.0", ours[0]) if shared else ours[0], name, x)
    if foreign.said.get("tied") and not shared and kind == "deformable":
        tie(named)
    return named


def refined(foreign: ForeignWeights) -> bool:
    return foreign.said.get("refine", any("decoder.bbox_embed." in name for name in foreign.tensors))


def tie(named: RenamedTensors) -> None:
    """Heads that transformers left out of the file, since they were the first one's."""
    for first in [name for name in named if re.match(r"to_(class|box)\.0\.", name)]:
        for k in range(1, named.count("decoder") + named.two_stage):
            other = first.replace(".0.", f".{k}.", 1)
            if other not in named:
                named[other] = named[first]
                named.tied.append(other)
