"""Multi-scale deformable attention: a query predicts the few points of each level that it samples (arXiv 2010.04159, Eq. 3)."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.nn.sampling import Shapes, TableLayout, sample, table
from core.types import Memory


@dataclass(frozen=True)
class OffsetFrame:
    """The origin and unit in which predicted sampling offsets count; layers with the same references share it."""

    origin: Float[Tensor, "b q 2 n"]  # of each point, in places of its level; n is heads x levels x points
    unit: Float[Tensor, "b q 2 n"] | None  # of each offset, in places of its level; None: one place
    layout: TableLayout


def offset_frame(reference: Float[Tensor, "b q l k"], layout: TableLayout, *, heads: int, points: int) -> OffsetFrame:
    """The frame of offsets around references: points (x, y) or boxes (cx, cy, w, h), as fractions of each padded level.

    Offsets from a point count in places; from a box, in units of its half width and height divided by `points`.
    """
    origin = per_point(reference[..., :2] * layout.size - 0.5, heads, points)
    if reference.shape[-1] == 2:
        return OffsetFrame(origin, None, layout)
    return OffsetFrame(origin, per_point(reference[..., 2:] * layout.size * (0.5 / points), heads, points), layout)


def per_point(x: Float[Tensor, "b q l 2"], heads: int, points: int) -> Float[Tensor, "b q 2 n"]:
    """Values of each level, repeated for all points of all heads."""
    return repeat(x, "b q l two -> b q two (h l p)", h=heads, p=points)


class DeformableAttention(nn.Module):
    """Attention of each query to `points` sampled points in each level and head, with predicted offsets and weights."""

    def __init__(self, width: int, heads: int, levels: int, points: int):
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.to_offset = nn.Linear(width, heads * levels * points * 2)
        self.to_weight = nn.Linear(width, heads * levels * points)
        self.to_value, self.to_out = nn.Linear(width, width), nn.Linear(width, width)
        self.reset()

    def reset(self) -> None:
        """Initialises as the original: each head samples 1, 2, .. places away in its own direction, with equal weights."""
        nn.init.zeros_(self.to_offset.weight)
        self.to_offset.bias.data = repeat(initial_offsets(self.heads, self.points), "h p k -> (h l p k)", l=self.levels)
        nn.init.zeros_(self.to_weight.weight)
        nn.init.zeros_(self.to_weight.bias)
        for linear in (self.to_value, self.to_out):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self,
        query: Float[Tensor, "b q d"],
        frame: OffsetFrame,
        tokens: Float[Tensor, "b n d"],
        padding: Bool[Tensor, "b n"],
        shapes: Shapes,
    ) -> Float[Tensor, "b q d"]:
        """The output for each query; tokens of padding are read as zeros, and `shapes` are those of the levels."""
        values = self.to_value(tokens)
        values = torch.where(padding[..., None], values.new_zeros(()), values)
        maps = [x.unflatten(1, shape) for x, shape in zip(values.split([h * w for h, w in shapes], dim=1), shapes)]
        samples = sample(table(maps, self.heads), self.sample_points(query, frame), self.weights(query), frame.layout)
        return self.to_out(rearrange(samples, "b q h c -> b q (h c)").to(values.dtype))

    def sampling_locations(
        self, memory: Memory, query: Float[Tensor, "b q d"], frame: OffsetFrame, *_: Any
    ) -> tuple[Float[Tensor, "b q n 2"], Float[Tensor, "b q n"]]:
        """Points of all heads and levels, (x, y) in pixels, and their weights, which sum to 1 over all heads.

        The arguments after `memory` are those of `forward` (see `Detector.samplers`).
        """
        strides = repeat(torch.tensor(memory.strides), "l -> (h l p)", h=self.heads, p=self.points).to(query.device)
        pixels = (self.sample_points(query, frame) + 0.5) * strides
        return rearrange(pixels, "b q two n -> b q n two"), self.weights(query).flatten(2) / self.heads

    def weights(self, query: Float[Tensor, "b q d"]) -> Float[Tensor, "b q h k"]:
        """The weight of each point; those of a head sum to 1 over all levels."""
        return rearrange(self.to_weight(query), "b q (h k) -> b q h k", h=self.heads).float().softmax(-1)

    def sample_points(self, query: Float[Tensor, "b q d"], frame: OffsetFrame) -> Float[Tensor, "b q 2 k"]:
        """The points (x, y) that each query samples, in places of their levels."""
        weight, bias = (rearrange(x, "(k two) ... -> (two k) ...", two=2) for x in self.to_offset.parameters())
        offset = rearrange(F.linear(query, weight, bias), "b q (two k) -> b q two k", two=2)
        return frame.origin + (offset if frame.unit is None else offset * frame.unit)


def initial_offsets(heads: int, points: int) -> Float[Tensor, "h p 2"]:
    """Initial offsets: heads look in directions evenly around a square, and their points lie 1, 2, .. places away."""
    angle = torch.arange(heads) * (2 * math.pi / heads)
    direction = torch.stack([angle.cos(), angle.sin()], -1)
    direction = direction / direction.abs().amax(-1, keepdim=True)
    return direction[:, None] * torch.arange(1, points + 1)[:, None]
