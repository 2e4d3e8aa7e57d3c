"""Bilinear samples of feature maps of several levels, as weighted sums of rows of one table.

All maps of a batch are laid out in one table, a row for each place and group of channels. A sample is a weighted sum of
the four rows around its point, and all samples of a batch are computed at once (`core.nn.weighted_sums`).
"""

from dataclasses import dataclass
from importlib.util import find_spec
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor

from core.nn.weighted_sums import weighted_sums, weighted_sums_backward

Shapes = tuple[tuple[int, int], ...]  # (height, width) of each level
HAS_TRITON = find_spec("triton") is not None  # torch's CUDA builds bring it
CAPABILITY = 7  # of the oldest GPUs for which Triton compiles


@dataclass(frozen=True)
class TableLayout:
    """The rows at which sampling heads find their points in a table of maps; made once for all calls on such maps.

    A sampling head samples k points, some in each level, level after level, and returns their weighted sum. The r heads
    share g groups of channels, and each group has its own rows in the table. Values for each of a query's n = r k points
    are stored for all heads, since arithmetic on one long axis is several times as fast as on a short one.
    """

    size: Float[Tensor, "l 2"]  # (width, height) of each level
    lower: Float[Tensor, "2 n"]  # x and y of the border before the first place of each point's level
    upper: Float[Tensor, "2 n"]  # x and y of the border behind its last place
    row_steps: Float[Tensor, "2 n"]  # rows from a place to its right neighbour, and to the place below
    origin_row: Int[Tensor, "b 1 n"]  # the row of place (0, 0)
    rows_to_below: Int[Tensor, " n"]  # rows from a place to the place below
    rows_to_right: int  # rows from a place to its right neighbour
    heads: int  # the number r of sampling heads


def table_layout(
    shapes: Shapes, *, images: int, heads: int, groups: int, points: int, device: torch.device
) -> TableLayout:
    """The layout for maps of these shapes and heads with `points` points in each level; never waits for the device.

    Consecutive heads share a group of channels.
    """
    size = torch.stack([int_vector([w, h]) for h, w in shapes])
    area = [(h + 3) * (w + 3) for h, w in shapes]
    origin = int_vector([before + w + 4 for before, (_, w) in zip(accumulate([0, *area]), shapes)])
    below = repeat(groups * (size[:, 0] + 3), "l -> (l p)", p=points)
    right = torch.full_like(below, groups)
    image, group = torch.arange(images) * sum(area), torch.arange(heads) * groups // heads
    base = (image[:, None, None, None] + repeat(origin, "l -> l p", p=points)) * groups
    base = repeat(base.flatten(1), "b k -> b r k", r=heads) + group[:, None]
    tensors = {
        "size": size.float(),
        "lower": torch.full((2, heads * len(below)), -1.0),
        "upper": repeat(size.float(), "l two -> two (r l p)", r=heads, p=points),
        "row_steps": repeat([right, below], "two k -> two (r k)", r=heads).float(),
        "origin_row": base.flatten(1)[:, None].int(),
        "rows_to_below": below.repeat(heads).int(),
    }
    moved: dict[str, Any] = {name: x.contiguous().to(device, non_blocking=True) for name, x in tensors.items()}
    return TableLayout(**moved, rows_to_right=groups, heads=heads)


def int_vector(values: list[int]) -> Int[Tensor, " n"]:
    """The same as torch.tensor(values), and also possible for symbolic sizes of an export."""
    return torch.stack([torch.full((), value) for value in values])


def table(maps: list[Float[Tensor, "b _ _ d"]], groups: int) -> Float[Tensor, "rows c"]:
    """The maps as a table, a row for each image, place and group of channels.

    Each level has a border of zeros: one place before its first row and column, two behind its last.
    """
    bordered = [F.pad(x, (0, 0, 1, 2, 1, 2)).flatten(1, 2) for x in maps]
    return rearrange(torch.cat(bordered, 1), "b n (g c) -> (b n g) c", g=groups)


def sample(table: Tensor, points: Tensor, weights: Tensor, layout: TableLayout) -> Tensor:
    """The sums of `Sample`: by the kernels of `core.nn.deformable_triton` on a GPU, otherwise by `Sample` itself."""
    if not uses_kernels(table):
        return Sample.apply(table, points, weights, layout)
    from core.nn import deformable_triton  # takes time to import, and nothing else needs it

    rows = layout.upper, layout.origin_row, layout.rows_to_below, layout.rows_to_right
    return deformable_triton.sample(table, points, weights, *rows)


def uses_kernels(table: Tensor) -> bool:
    """Returns whether a table is on a GPU for which Triton compiles, and its gradient need not repeat to the last bit."""
    if not (HAS_TRITON and table.is_cuda) or torch.are_deterministic_algorithms_enabled():
        return False
    return torch.cuda.get_device_properties(table.device).major >= CAPABILITY


class Sample(torch.autograd.Function):
    """Weighted sums of samples, "b q r c", of a table at points "b q 2 (r k)" with weights "b q r k".

    Points are (x, y) in places of their level, where whole numbers are the middles of places; outside its map a level is
    zero. All points of a head make one weighted sum of rows. Only the arguments are kept for the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, points: Tensor, weights: Tensor, layout: TableLayout) -> Tensor:
        ctx.layout = layout
        ctx.save_for_backward(table, points, weights)
        at = clamp_to_border(points, layout)
        low = at.floor()
        out = weighted_sums(table.to(at.dtype), corner_rows(low, layout), corner_weights(at - low, weights))
        return out.view(*weights.shape[:3], -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        table, points, weights = ctx.saved_tensors
        at = clamp_to_border(points, ctx.layout)
        low = at.floor()
        fraction = at - low
        to_table, to_corners = weighted_sums_backward(
            table.to(at.dtype), corner_rows(low, ctx.layout), corner_weights(fraction, weights), gradient.flatten(0, 2)
        )
        to_points, to_weights = corner_weights_backward(fraction, weights, to_corners)
        return to_table.to(table.dtype), to_points * (at == points), to_weights.to(weights.dtype), None


def clamp_to_border(points: Float[Tensor, "b q 2 n"], layout: TableLayout) -> Float[Tensor, "b q 2 n"]:
    """Points with those outside their map moved to its border, where all values are zero; NaN becomes -1, also there."""
    return points.clamp(layout.lower, layout.upper).nan_to_num_(-1)


def corner_rows(low: Float[Tensor, "b q 2 n"], layout: TableLayout) -> Int[Tensor, "m j"]:
    """The table rows of the four corners of all points, a line for each image, query and head.

    `low` holds the upper left corner of each point, in places.
    """
    x, y = (low * layout.row_steps).unbind(2)
    corner = (x + y).int() + layout.origin_row
    below, right = corner + layout.rows_to_below, layout.rows_to_right
    four = torch.stack([x.unflatten(2, (layout.heads, -1)) for x in (corner, corner + right, below, below + right)], 3)
    return four.view(-1, 4 * four.shape[-1])


def corner_weights(fraction: Float[Tensor, "b q 2 n"], weights: Float[Tensor, "b q r k"]) -> Float[Tensor, "m j"]:
    """The weight of each row of `corner_rows`: the corner's bilinear share of its point, times the point's weight.

    `fraction` is the distance of each point from its upper left corner, in places.
    """
    x, y = fraction.unflatten(3, weights.shape[2:]).unbind(2)
    low = weights * y
    high = weights - low
    low_right, high_right = low * x, high * x
    return torch.stack([high - high_right, high_right, low - low_right, low_right], 3).view(-1, 4 * x.shape[-1])


def corner_weights_backward(
    fraction: Float[Tensor, "b q 2 n"], weights: Float[Tensor, "b q r k"], gradient: Float[Tensor, "m j"]
) -> tuple[Float[Tensor, "b q 2 n"], Float[Tensor, "b q r k"]]:
    """Gradients of the points and of their weights, from the gradient of the corners' weights."""
    x, y = fraction.unflatten(3, weights.shape[2:]).unbind(2)
    a, b, c, d = gradient.view(*weights.shape[:3], 4, -1).unbind(3)
    high, low = torch.lerp(a, b, x), torch.lerp(c, d, x)
    to_x = weights * (torch.lerp(b, d, y) - torch.lerp(a, c, y))
    to_points = torch.stack([to_x.flatten(2), (weights * (low - high)).flatten(2)], 2)
    return to_points, torch.lerp(high, low, y)
