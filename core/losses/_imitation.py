"""Feature maps that are to become another detector's: which levels meet, on whose places, in whose channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Literal

import torch
import torch.nn.functional as F
from einops import repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.types import Memory

Source = Literal["encoder", "neck"]


@dataclass(frozen=True)
class Level:
    """A level of the teacher, and the student's map in its channels and on its places."""

    stride: int  # the teacher's
    student: Float[Tensor, "b c h w"]  # c is d, unless there is no phi
    teacher: Float[Tensor, "b d h w"]
    valid: Bool[Tensor, "b h w"]  # False where a place is padding

    @property
    def gap(self) -> Float[Tensor, "b h w"]:
        """Mean over channels of the squared difference, 0 in padding."""
        return F.mse_loss(self.student, self.teacher, reduction="none").sum(1) / self.student.shape[1] * self.valid

    @property
    def places(self) -> Float[Tensor, "b 1 1"]:
        """How many of each image are no padding, at least 1."""
        return self.valid.sum((-2, -1), keepdim=True).clamp(min=1).float()


class Imitation(nn.Module):
    """Pairs of levels by nearest stride, with phi for each: a 1x1 convolution that maps the student's channels.

    phi is the identity at first where widths agree. It trains with the student and is left behind with the loss.
    """

    def __init__(self, student, teacher, *, source: Source, adapter: bool = True):
        super().__init__()
        self.source, self.strides = source, (student.strides, teacher.strides)
        self.pairs = pair_levels(student.strides, teacher.strides)
        make = channel_adapter if adapter else (lambda *_: nn.Identity())
        self.adapters = nn.ModuleList(make(student.width, teacher.width) for _ in self.pairs)

    @property
    def names(self) -> list[str]:
        """Of each level, as a loss calls its map."""
        return [f"stride{self.strides[1][t]}" for _, t in self.pairs]

    @property
    def notes(self) -> tuple[str, ...]:
        """Levels that are resampled or left out."""
        mine, theirs = self.strides
        pairs = [(mine[s], theirs[t]) for s, t in self.pairs]
        resampled = [f"features of stride {a} meet the teacher's of stride {b}" for a, b in pairs if a != b]
        left = {"student": set(mine) - {a for a, _ in pairs}, "teacher": set(theirs) - {b for _, b in pairs}}
        out = [
            f"features of stride {stride} of the {who} have no partner" for who in left for stride in sorted(left[who])
        ]
        return (*resampled, *out)

    def forward(self, student: Memory, teacher: Memory) -> list[Level]:
        mine, theirs, found = student.maps(self.source), teacher.maps(self.source), []
        for (s, t), adapt in zip(self.pairs, self.adapters):
            stride = teacher.strides[t]
            moved = resample(adapt(mine[s].float()), student.strides[s], stride, theirs[t].shape[-2:])
            found.append(Level(stride, moved, theirs[t].float(), ~teacher.padding[t]))
        return found


def pair_levels(mine: Sequence[int], theirs: Sequence[int]) -> list[tuple[int, int]]:
    """Levels of student and teacher, each in at most one pair, the nearest strides first; in the student's order."""
    gaps = sorted((abs(log2(a / b)), s, t) for s, a in enumerate(mine) for t, b in enumerate(theirs))
    pairs: list[tuple[int, int]] = []
    for _, s, t in gaps:
        if s not in {a for a, _ in pairs} and t not in {b for _, b in pairs}:
            pairs.append((s, t))
    return sorted(pairs)


def channel_adapter(mine: int, theirs: int) -> nn.Conv2d:
    conv = nn.Conv2d(mine, theirs, 1)
    if mine == theirs:
        nn.init.dirac_(conv.weight)
        nn.init.zeros_(conv.bias)
    return conv


def resample(x: Float[Tensor, "b d h w"], stride: int, to: int, shape: Sequence[int]) -> Float[Tensor, "b d H W"]:
    """A map of one stride read at the places of another; zero beyond its rim. Places are squares of `stride` pixels."""
    height, width = shape
    if (stride, *x.shape[-2:]) == (to, height, width):
        return x
    if stride == to:
        return F.pad(x, (0, max(0, width - x.shape[-1]), 0, max(0, height - x.shape[-2])))[..., :height, :width]
    pixels = [(torch.arange(n, device=x.device) + 0.5) * to for n in (height, width)]
    y, x_ = (p / (n * stride) * 2 - 1 for p, n in zip(pixels, x.shape[-2:]))
    grid = torch.stack([repeat(x_, "w -> h w", h=height), repeat(y, "h -> h w", w=width)], -1)
    grid = repeat(grid, "h w two -> b h w two", b=len(x)).to(x.dtype)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def mean_of_places(x: Float[Tensor, "b d h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b d"]:
    """Of each channel, over the places that are no padding."""
    count = valid.sum((-2, -1)).clamp(min=1)
    return (x * valid[:, None]).sum((-2, -1)) / count[:, None]


def spatial_attention(
    x: Float[Tensor, "b d h w"], valid: Bool[Tensor, "b h w"], temperature: float
) -> Float[Tensor, "b h w"]:
    """How strong a map is at each place: softmax of the channels' mean |x| / T, 1 on average, 0 in padding."""
    energy = x.abs().mean(1) / temperature
    energy = energy.masked_fill(~valid, torch.finfo(energy.dtype).min)
    share = energy.flatten(1).softmax(1).unflatten(1, energy.shape[1:])
    return share * valid * valid.sum((-2, -1), keepdim=True)


def channel_attention(
    x: Float[Tensor, "b d h w"], valid: Bool[Tensor, "b h w"], temperature: float
) -> Float[Tensor, "b d"]:
    """How strong each channel is: softmax of the places' mean |x| / T, 1 on average."""
    return (mean_of_places(x.abs(), valid) / temperature).softmax(1) * x.shape[1]
