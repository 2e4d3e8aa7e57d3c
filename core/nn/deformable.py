"""Multi-scale deformable attention: a query says where it reads, a few points of each level (2010.04159, Eq. 3)."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.nn.sampling import Sample, Shapes, TableLayout, table
from core.types import Memory


@dataclass(frozen=True)
class OffsetFrame:
    """Where queries start to look from; layers with the same references share it."""

    origin: Float[Tensor, "b q 2 n"]  # of each point's offset, in places of its level; n is heads x levels x points
    unit: Float[Tensor, "b q 2 n"] | None  # of the offset: one place, or a part of a box
    grid: TableLayout


def offset_frame(reference: Float[Tensor, "b q l k"], grid: TableLayout, *, heads: int, points: int) -> OffsetFrame:
    """`reference` holds points (x, y), or boxes (cx, cy, w, h), whose offsets count in parts of the box; as fractions of
    each padded level.
    """
    origin = per_point(reference[..., :2] * grid.size - 0.5, heads, points)
    if reference.shape[-1] == 2:
        return OffsetFrame(origin, None, grid)
    return OffsetFrame(origin, per_point(reference[..., 2:] * grid.size * (0.5 / points), heads, points), grid)


def per_point(x: Float[Tensor, "b q l 2"], heads: int, points: int) -> Float[Tensor, "b q 2 n"]:
    return repeat(x, "b q l two -> b q two (h l p)", h=heads, p=points)


class DeformableAttention(nn.Module):
    def __init__(self, width: int, heads: int, levels: int, points: int):
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.to_offset = nn.Linear(width, heads * levels * points * 2)
        self.to_weight = nn.Linear(width, heads * levels * points)
        self.to_value, self.to_out = nn.Linear(width, width), nn.Linear(width, width)
        self.reset()

    def reset(self) -> None:
        """Each head looks in a direction of its own, its points one after another, all with the same weight."""
        nn.init.zeros_(self.to_offset.weight)
        self.to_offset.bias.data = repeat(directions(self.heads, self.points), "h p k -> (h l p k)", l=self.levels)
        nn.init.zeros_(self.to_weight.weight)
        nn.init.zeros_(self.to_weight.bias)
        for linear in (self.to_value, self.to_out):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self,
        query: Float[Tensor, "b q d"],
        aim: OffsetFrame,
        tokens: Float[Tensor, "b n d"],
        padding: Bool[Tensor, "b n"],
        shapes: Shapes,
    ) -> Float[Tensor, "b q d"]:
        values = self.to_value(tokens)
        values = torch.where(padding[..., None], values.new_zeros(()), values)
        maps = [x.unflatten(1, shape) for x, shape in zip(values.split([h * w for h, w in shapes], dim=1), shapes)]
        found = Sample.apply(table(maps, self.heads), self.where(query, aim), self.weights(query), aim.grid)
        return self.to_out(rearrange(found, "b q h c -> b q (h c)").to(values.dtype))

    def sampling_locations(self, memory: Memory, query: Float[Tensor, "b q d"], aim: OffsetFrame, *_):
        """Points of all heads and levels, in pixels, and the mean over heads of their weights."""
        strides = repeat(torch.tensor(memory.strides), "l -> (h l p)", h=self.heads, p=self.points).to(query.device)
        pixels = (self.where(query, aim) + 0.5) * strides
        return rearrange(pixels, "b q two n -> b q n two"), self.weights(query).flatten(2) / self.heads

    def weights(self, query: Float[Tensor, "b q d"]) -> Float[Tensor, "b q h k"]:
        """Of the points of each head, over all levels."""
        return rearrange(self.to_weight(query), "b q (h k) -> b q h k", h=self.heads).float().softmax(-1)

    def where(self, query: Float[Tensor, "b q d"], aim: OffsetFrame) -> Float[Tensor, "b q 2 k"]:
        """Points in places of each level."""
        weight, bias = (rearrange(x, "(k two) ... -> (two k) ...", two=2) for x in self.to_offset.parameters())
        offset = rearrange(F.linear(query, weight, bias), "b q (two k) -> b q two k", two=2)
        return aim.origin + (offset if aim.unit is None else offset * aim.unit)


def directions(heads: int, points: int) -> Float[Tensor, "h p 2"]:
    """Steps 1, 2, .. from the middle of a square to its rim, evenly around."""
    angle = torch.arange(heads) * (2 * math.pi / heads)
    way = torch.stack([angle.cos(), angle.sin()], -1)
    way = way / way.abs().amax(-1, keepdim=True)
    return way[:, None] * torch.arange(1, points + 1)[:, None]
