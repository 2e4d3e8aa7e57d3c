"""Multi-scale deformable attention: a query says where it reads, a few points of each level (2010.04159, Eq. 3)."""

import math
from itertools import accumulate

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from core.nn.bags import weighted_sums, weighted_sums_backward

Shapes = tuple[tuple[int, int], ...]  # (height, width) of each level
Aim = tuple[Tensor, Tensor | None]


def aim(reference: Float[Tensor, "b q l k"], shapes: Shapes, *, heads: int, points: int) -> Aim:
    """Where offsets start from, "b q 2 (h l p)" in places of each level, and their unit, None for one place.

    `reference` holds points (x, y), or boxes (cx, cy, w, h), whose offsets count in parts of the box; as fractions of
    each padded level. It is laid out for all heads and points here, once, since layers may share it.
    """
    size = reference.new_tensor([(w, h) for h, w in shapes])
    origin = laid(reference[..., :2] * size - 0.5, heads, points)
    if reference.shape[-1] == 2:
        return origin, None
    return origin, laid(reference[..., 2:] * size * (0.5 / points), heads, points)


def laid(x: Float[Tensor, "b q l 2"], heads: int, points: int) -> Float[Tensor, "b q 2 k"]:
    """All x, then all y: arithmetic on many points is several times as fast as on many pairs."""
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
        aim: Aim,
        tokens: Float[Tensor, "b n d"],
        padding: Bool[Tensor, "b n"],
        shapes: Shapes,
    ) -> Float[Tensor, "b q d"]:
        values = self.to_value(tokens).masked_fill(padding[..., None], 0)
        weights = rearrange(self.to_weight(query), "b q (h k) -> b q h k", h=self.heads).float().softmax(-1)
        return self.to_out(Sample.apply(values, self.where(query, aim), weights, shapes).to(values.dtype))

    def where(self, query: Float[Tensor, "b q d"], aim: Aim) -> Float[Tensor, "b q 2 k"]:
        """Points in places of each level."""
        weight, bias = (rearrange(x, "(k two) ... -> (two k) ...", two=2) for x in self.to_offset.parameters())
        offset = rearrange(F.linear(query, weight, bias), "b q (two k) -> b q two k", two=2)
        origin, unit = aim
        return origin + (offset if unit is None else offset * unit)


def directions(heads: int, points: int) -> Float[Tensor, "h p 2"]:
    """Steps 1, 2, .. from the middle of a square to its rim, evenly around."""
    angle = torch.arange(heads) * (2 * math.pi / heads)
    way = torch.stack([angle.cos(), angle.sin()], -1)
    way = way / way.abs().amax(-1, keepdim=True)
    return way[:, None] * torch.arange(1, points + 1)[:, None]


class Sample(torch.autograd.Function):
    """Weighted bilinear samples "b q (h c)" of values "b n (h c)", at points "b q 2 (h k)", with weights "b q h k".

    Points are (x, y) in places of their level, whole in the middle of a place; outside the map is zero; k runs over
    levels and their points. The four corners of all points of a head are one weighted sum of rows. Only the arguments
    are kept for the backward pass.
    """

    @staticmethod
    def forward(ctx, values: Tensor, points: Tensor, weights: Tensor, shapes: Shapes) -> Tensor:
        ctx.shapes = shapes
        ctx.save_for_backward(values, points, weights)
        b, q, h, _ = weights.shape
        at = clamped(points, h, shapes)
        out = weighted_sums(bordered(values.to(at.dtype), h, shapes), rows(at, h, shapes), areas(at, weights))
        return rearrange(out, "(b q h) c -> b q (h c)", b=b, q=q)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        values, points, weights = ctx.saved_tensors
        h, shapes = weights.shape[2], ctx.shapes
        at = clamped(points, h, shapes)
        table, index, area = bordered(values.to(at.dtype), h, shapes), rows(at, h, shapes), areas(at, weights)
        table, area = weighted_sums_backward(table, index, area, rearrange(gradient, "b q (h c) -> (b q h) c", h=h))
        to_points, to_weights = areas_backward(at, weights, area)
        to_values = inner(rearrange(table, "(b n h) c -> b n (h c)", b=len(values), h=h), shapes)
        return to_values.to(values.dtype), to_points * (at == points), to_weights.to(weights.dtype), None


def bordered(values: Float[Tensor, "b n d"], heads: int, shapes: Shapes) -> Float[Tensor, "r c"]:
    """A table with a row for each image, place and head, in which each level has zeros around, two places behind."""
    maps = [x.unflatten(1, s) for x, s in zip(values.split([h * w for h, w in shapes], dim=1), shapes)]
    maps = [F.pad(x, (0, 0, 1, 2, 1, 2)).flatten(1, 2) for x in maps]
    return rearrange(torch.cat(maps, 1), "b n (h c) -> (b n h) c", h=heads)


def inner(values: Float[Tensor, "b m d"], shapes: Shapes) -> Float[Tensor, "b n d"]:
    """Without the border."""
    maps = values.split([(h + 3) * (w + 3) for h, w in shapes], dim=1)
    maps = [x.unflatten(1, (h + 3, w + 3))[:, 1:-2, 1:-2].flatten(1, 2) for x, (h, w) in zip(maps, shapes)]
    return torch.cat(maps, 1)


def clamped(points: Float[Tensor, "b q 2 k"], heads: int, shapes: Shapes) -> Float[Tensor, "b q 2 k"]:
    """Points outside come to rest on the border, where all is zero; so does what is no number."""
    each = points.shape[-1] // (heads * len(shapes))
    last = repeat(points.new_tensor([(w, h) for h, w in shapes]), "l two -> two (h l p)", h=heads, p=each)
    return points.nan_to_num().flatten(2).minimum(last.flatten()).clamp(min=-1).view_as(points)


def rows(at: Float[Tensor, "b q 2 k"], heads: int, shapes: Shapes) -> Int[Tensor, "m j"]:
    """The rows of the four corners of all points, for each image, query and head."""
    b, each = len(at), at.shape[-1] // (heads * len(shapes))
    areas = [(h + 3) * (w + 3) for h, w in shapes]
    table = [(w + 3, before + w + 4) for before, (_, w) in zip(accumulate([0, *areas]), shapes)]
    width, first = repeat(torch.tensor(table, device=at.device), "l two -> two (h l p)", h=heads, p=each)
    image = torch.arange(b, device=at.device).view(b, 1, 1) * sum(areas)
    head = repeat(torch.arange(heads, device=at.device), "h -> (h k)", k=len(width) // heads)
    x, y = at.floor().unbind(2)
    low = torch.addcmul(x, y, width.to(at.dtype)).int() * heads + ((image + first) * heads + head).int()
    step = torch.stack([0 * width, 0 * width + 1, width, width + 1]).int() * heads
    step = rearrange(step, "four (h k) -> h four k", h=heads).contiguous()
    return (rearrange(low, "b q (h k) -> b q h 1 k", h=heads) + step).view(-1, step[0].numel())


def areas(at: Float[Tensor, "b q 2 k"], weights: Float[Tensor, "b q h n"]) -> Float[Tensor, "m j"]:
    """What each corner counts: its share of the point, times the point's weight."""
    x, y = parts(at, weights)
    low = weights * y
    high = weights - low
    low_right, high_right = low * x, high * x
    return torch.stack([high - high_right, high_right, low - low_right, low_right], 3).view(-1, 4 * x.shape[-1])


def areas_backward(
    at: Float[Tensor, "b q 2 k"], weights: Float[Tensor, "b q h n"], gradient: Float[Tensor, "m j"]
) -> tuple[Float[Tensor, "b q 2 k"], Float[Tensor, "b q h n"]]:
    x, y = parts(at, weights)
    a, b, c, d = gradient.view(*weights.shape[:3], 4, -1).unbind(3)
    high, low = torch.lerp(a, b, x), torch.lerp(c, d, x)
    to_x = weights * (torch.lerp(b, d, y) - torch.lerp(a, c, y))
    to_points = torch.stack([to_x.flatten(2), (weights * (low - high)).flatten(2)], 2)
    return to_points, torch.lerp(high, low, y)


def parts(at: Float[Tensor, "b q 2 k"], weights: Float[Tensor, "b q h n"]) -> tuple[Tensor, Tensor]:
    """How far each point is from its upper left corner, across and down."""
    return (at - at.floor()).unflatten(3, weights.shape[2:]).unbind(2)
