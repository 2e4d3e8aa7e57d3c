"""Bilinear samples of maps of several levels, as weighted sums of rows of one table."""

from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor

from core.nn.weighted_sums import weighted_sums, weighted_sums_backward

Shapes = tuple[tuple[int, int], ...]  # (height, width) of each level


@dataclass(frozen=True)
class TableLayout:
    """Where readers find their points in a table; made once for all calls that read such maps.

    A reader reads k points: some of each level, level after level. r readers share g groups of channels, each a row of
    its own in the table. What depends on a point's place among (r k) is laid out for all of them: arithmetic on many
    points is several times as fast as on few.
    """

    size: Float[Tensor, "l 2"]  # (width, height) of each level
    first: Float[Tensor, "2 n"]  # x and y of the border before each point's level, in places
    last: Float[Tensor, "2 n"]  # and of the border behind it
    pace: Float[Tensor, "2 n"]  # rows from a place to the next one, across and down
    base: Int[Tensor, "b 1 n"]  # row of place (0, 0)
    down: Int[Tensor, " n"]  # rows from a place to the one below
    across: int  # and to the next one
    readers: int


def table_layout(shapes: Shapes, *, images: int, readers: int, groups: int, points: int, device: torch.device) -> TableLayout:
    """For `points` of each level. All is known without asking the device."""
    size = torch.stack([int_vector([w, h]) for h, w in shapes])
    area = [(h + 3) * (w + 3) for h, w in shapes]
    origin = int_vector([before + w + 4 for before, (_, w) in zip(accumulate([0, *area]), shapes)])
    down = repeat(groups * (size[:, 0] + 3), "l -> (l p)", p=points)
    across = torch.full_like(down, groups)
    image, group = torch.arange(images) * sum(area), torch.arange(readers) * groups // readers
    base = (image[:, None, None, None] + repeat(origin, "l -> l p", p=points)) * groups
    base = repeat(base.flatten(1), "b k -> b r k", r=readers) + group[:, None]
    found = {
        "size": size.float(),
        "first": torch.full((2, readers * len(down)), -1.0),
        "last": repeat(size.float(), "l two -> two (r l p)", r=readers, p=points),
        "pace": repeat([across, down], "two k -> two (r k)", r=readers).float(),
        "base": base.flatten(1)[:, None].int(),
        "down": down.repeat(readers).int(),
    }
    found = {name: x.contiguous().to(device, non_blocking=True) for name, x in found.items()}
    return TableLayout(**found, across=groups, readers=readers)


def int_vector(values: list[int]) -> Int[Tensor, " n"]:
    """torch.tensor, also of sizes that an export leaves open."""
    return torch.stack([torch.full((), value) for value in values])


def table(maps: list[Float[Tensor, "b _ _ d"]], groups: int) -> Float[Tensor, "rows c"]:
    """A row for each image, place and group of channels; each level has zeros around it, two places behind."""
    bordered = [F.pad(x, (0, 0, 1, 2, 1, 2)).flatten(1, 2) for x in maps]
    return rearrange(torch.cat(bordered, 1), "b n (g c) -> (b n g) c", g=groups)


class Sample(torch.autograd.Function):
    """Weighted samples "b q r c" of a table's rows, at points "b q 2 (r k)", with weights "b q r k".

    Points are (x, y) in places of their level, whole in the middle of a place; outside the map is zero. The four corners
    of all points of a reader are one weighted sum of rows. Only the arguments are kept for the backward pass.
    """

    @staticmethod
    def forward(ctx, table: Tensor, points: Tensor, weights: Tensor, grid: TableLayout) -> Tensor:
        ctx.grid = grid
        ctx.save_for_backward(table, points, weights)
        at = clamp_to_border(points, grid)
        low = at.floor()
        out = weighted_sums(table.to(at.dtype), corner_rows(low, grid), corner_weights(at - low, weights))
        return out.view(*weights.shape[:3], -1)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        table, points, weights = ctx.saved_tensors
        at = clamp_to_border(points, ctx.grid)
        low = at.floor()
        part = at - low
        to_table, to_area = weighted_sums_backward(
            table.to(at.dtype), corner_rows(low, ctx.grid), corner_weights(part, weights), gradient.flatten(0, 2)
        )
        to_points, to_weights = corner_weights_backward(part, weights, to_area)
        return to_table.to(table.dtype), to_points * (at == points), to_weights.to(weights.dtype), None


def clamp_to_border(points: Float[Tensor, "b q 2 n"], grid: TableLayout) -> Float[Tensor, "b q 2 n"]:
    """Points outside come to rest on the border, where all is zero; so does what is no number."""
    return points.clamp(grid.first, grid.last).nan_to_num_(-1)


def corner_rows(low: Float[Tensor, "b q 2 n"], grid: TableLayout) -> Int[Tensor, "m j"]:
    """Of the four corners of all points of each image, query and reader, given the upper left places."""
    x, y = (low * grid.pace).unbind(2)
    here = (x + y).int() + grid.base
    below = here + grid.down
    four = torch.stack(
        [x.unflatten(2, (grid.readers, -1)) for x in (here, here + grid.across, below, below + grid.across)], 3
    )
    return four.view(-1, 4 * four.shape[-1])


def corner_weights(part: Float[Tensor, "b q 2 n"], weights: Float[Tensor, "b q r k"]) -> Float[Tensor, "m j"]:
    """What each corner counts: its share of the point, times the point's weight.

    `part` is how far the points are from their upper left places.
    """
    x, y = part.unflatten(3, weights.shape[2:]).unbind(2)
    low = weights * y
    high = weights - low
    low_right, high_right = low * x, high * x
    return torch.stack([high - high_right, high_right, low - low_right, low_right], 3).view(-1, 4 * x.shape[-1])


def corner_weights_backward(
    part: Float[Tensor, "b q 2 n"], weights: Float[Tensor, "b q r k"], gradient: Float[Tensor, "m j"]
) -> tuple[Float[Tensor, "b q 2 n"], Float[Tensor, "b q r k"]]:
    x, y = part.unflatten(3, weights.shape[2:]).unbind(2)
    a, b, c, d = gradient.view(*weights.shape[:3], 4, -1).unbind(3)
    high, low = torch.lerp(a, b, x), torch.lerp(c, d, x)
    to_x = weights * (torch.lerp(b, d, y) - torch.lerp(a, c, y))
    to_points = torch.stack([to_x.flatten(2), (weights * (low - high)).flatten(2)], 2)
    return to_points, torch.lerp(high, low, y)
