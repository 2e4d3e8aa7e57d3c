"""Feature maps of the student, brought to the channels and places of the teacher's so that losses can compare the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from einops import repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.types import Memory

Source = Literal["encoder", "neck"]


@runtime_checkable
class FeatureSpec(Protocol):
    """The attributes of a detector that `Imitation` reads."""

    @property
    def width(self) -> int:
        """Channels of memory."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each level of memory, in pixels."""


@dataclass(frozen=True)
class Level:
    """One level of the teacher's features, and the student's map adapted to its channels and places."""

    stride: int  # of the teacher's level
    student: Float[Tensor, "b c h w"]  # c equals d unless there is no adapter
    teacher: Float[Tensor, "b d h w"]
    valid: Bool[Tensor, "b h w"]  # False where a place is padding

    @property
    def squared_error(self) -> Float[Tensor, "b h w"]:
        """Squared difference of the two maps, mean over channels; 0 in padding."""
        return F.mse_loss(self.student, self.teacher, reduction="none").sum(1) / self.student.shape[1] * self.valid

    @property
    def valid_places(self) -> Float[Tensor, "b 1 1"]:
        """Number of places of each image that are not padding, at least 1."""
        return self.valid.sum((-2, -1), keepdim=True).clamp(min=1).float()


class Imitation(nn.Module):
    """Pairs levels of student and teacher by nearest stride and adapts the student's maps.

    `adapters` holds phi for each pair: a 1x1 convolution from the student's channels to the teacher's. It starts as the
    identity where widths agree, trains with the student, and is not part of the trained detector.
    """

    def __init__(self, student: FeatureSpec, teacher: FeatureSpec, *, source: Source, adapter: bool = True):
        super().__init__()
        self.source, self.strides = source, (student.strides, teacher.strides)
        self.pairs = pair_levels(student.strides, teacher.strides)
        self.adapters = nn.ModuleList(
            channel_adapter(student.width, teacher.width) if adapter else nn.Identity() for _ in self.pairs
        )

    @property
    def names(self) -> list[str]:
        """The key of each pair's map in a loss: "stride8" for a teacher's level of stride 8."""
        return [f"stride{self.strides[1][t]}" for _, t in self.pairs]

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each level that is resampled or has no counterpart."""
        student, teacher = self.strides
        pairs = [(student[s], teacher[t]) for s, t in self.pairs]
        resampled = [
            f"student features of stride {a} are resampled to the teacher's stride {b}" for a, b in pairs if a != b
        ]
        unpaired = {"student": set(student) - {a for a, _ in pairs}, "teacher": set(teacher) - {b for _, b in pairs}}
        unused = [
            f"{who} features of stride {stride} are not used" for who in unpaired for stride in sorted(unpaired[who])
        ]
        return (*resampled, *unused)

    def forward(self, student: Memory, teacher: Memory) -> list[Level]:
        """The paired levels, in the order of `names`, in float32."""
        student_maps, teacher_maps = student.maps(self.source), teacher.maps(self.source)
        levels = []
        for (s, t), adapter in zip(self.pairs, self.adapters):
            stride, shape = teacher.strides[t], teacher_maps[t].shape[-2:]
            adapted = resample(adapter(student_maps[s].float()), student.strides[s], stride, shape)
            levels.append(Level(stride, adapted, teacher_maps[t].float(), ~teacher.padding[t]))
        return levels


def pair_levels(student: Sequence[int], teacher: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs (student level, teacher level) for the strides of both detectors, in the student's order.

    Each level is in at most one pair. The pairs with the smallest ratio of strides are taken first.
    """
    distances = sorted((abs(log2(a / b)), s, t) for s, a in enumerate(student) for t, b in enumerate(teacher))
    pairs: list[tuple[int, int]] = []
    for _, s, t in distances:
        if s not in {a for a, _ in pairs} and t not in {b for _, b in pairs}:
            pairs.append((s, t))
    return sorted(pairs)


def channel_adapter(student_width: int, teacher_width: int) -> nn.Conv2d:
    """A 1x1 convolution from the student's channels to the teacher's; the identity at first where widths agree."""
    conv = nn.Conv2d(student_width, teacher_width, 1)
    if student_width == teacher_width:
        nn.init.dirac_(conv.weight)
        nn.init.zeros_(conv.get_parameter("bias"))
    return conv


def resample(
    x: Float[Tensor, "b d h w"], stride: int, new_stride: int, shape: Sequence[int]
) -> Float[Tensor, "b d H W"]:
    """Resamples a map bilinearly to another stride and to `shape` (height, width); 0 beyond its border.

    A place is a square of `stride` pixels, and its value belongs to its centre.
    """
    height, width = shape
    if (stride, *x.shape[-2:]) == (new_stride, height, width):
        return x
    if stride == new_stride:
        return F.pad(x, (0, max(0, width - x.shape[-1]), 0, max(0, height - x.shape[-2])))[..., :height, :width]
    centres = [(torch.arange(n, device=x.device) + 0.5) * new_stride for n in (height, width)]  # y, x in pixels
    y, x_ = (p / (n * stride) * 2 - 1 for p, n in zip(centres, x.shape[-2:]))
    grid = torch.stack([repeat(x_, "w -> h w", h=height), repeat(y, "h -> h w", w=width)], -1)
    grid = repeat(grid, "h w two -> b h w two", b=len(x)).to(x.dtype)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def mean_of_places(x: Float[Tensor, "b d h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b d"]:
    """Mean of each channel over the places that are not padding; 0 where all are."""
    count = valid.sum((-2, -1)).clamp(min=1)
    return (x * valid[:, None]).sum((-2, -1)) / count[:, None]


def spatial_attention(
    x: Float[Tensor, "b d h w"], valid: Bool[Tensor, "b h w"], temperature: float
) -> Float[Tensor, "b h w"]:
    """Softmax over the places of the channels' mean |x| / T, times the number of places; 0 in padding.

    FGD (arXiv 2111.11837), Eq. 4 and 6.
    """
    energy = x.abs().mean(1) / temperature
    energy = energy.masked_fill(~valid, torch.finfo(energy.dtype).min)
    share = energy.flatten(1).softmax(1).unflatten(1, energy.shape[1:])
    return share * valid * valid.sum((-2, -1), keepdim=True)


def channel_attention(
    x: Float[Tensor, "b d h w"], valid: Bool[Tensor, "b h w"], temperature: float
) -> Float[Tensor, "b d"]:
    """Softmax over the channels of the places' mean |x| / T, times the number of channels.

    FGD (arXiv 2111.11837), Eq. 5 and 7.
    """
    return (mean_of_places(x.abs(), valid) / temperature).softmax(1) * x.shape[1]
