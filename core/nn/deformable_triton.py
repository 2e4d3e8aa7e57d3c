"""Sampling of a table of maps on a GPU: one Triton kernel for the weighted sums of samples, and one for their gradients.

They compute what `core.nn.sampling.Sample` computes, without writing the rows and weights of corners to memory, and read a
table in half precision as it is. Sums are made in float32, or in float64 if the points are. The gradient of the table is
added up in an order that changes from call to call, so it is not repeatable to the last bit.

Only `core.nn.sampling.sample` imports this file, on CUDA, where torch brings triton. TRITON_INTERPRET=1 runs the kernels on
the CPU.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 1024  # numbers of a block of sums: sums x channels


@triton.jit
@no_type_check
def coordinate(points, offset, last, inside):
    """A coordinate as given, moved to the border if it is outside or not a number, and the place at or before it."""
    given = tl.load(points + offset, mask=inside, other=-1.0).to(last.dtype)
    at = tl.where(given == given, tl.minimum(tl.maximum(given, -1.0), last), -1.0)
    return given, at, tl.floor(at)


@triton.jit
@no_type_check
def corner_row(left, top, corner, width, height, below, rows_to_right, inside, RIGHT: tl.constexpr, DOWN: tl.constexpr):
    """The table row of a corner, and whether it is a place of the map; those of the border are zero."""
    x, y = left + RIGHT, top + DOWN
    within = inside & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return (corner + RIGHT * rows_to_right + DOWN * below).to(tl.int64), within


@triton.jit
@no_type_check
def share(fraction, FAR: tl.constexpr):
    """A corner's bilinear share along one axis."""
    return fraction if FAR else 1.0 - fraction


@triton.jit
@no_type_check
def sampled_point(
    points,
    weights,
    upper,
    origin_row,
    rows_to_below,
    rows_to_right,
    m,
    k,
    queries,
    inside,
    HEADS: tl.constexpr,
    POINTS: tl.constexpr,
    ACCURACY: tl.constexpr,
):
    """Point `k` of sums `m`: its weight, where its x is stored, x and y as `coordinate` gives them, and its place in the table.

    The place is the width and the height of its map, the table row of its upper left corner, and the number of rows to the
    place below. Its y is stored HEADS * POINTS after its x.
    """
    query, n = m // HEADS, m % HEADS * POINTS + k
    start = query * 2 * HEADS * POINTS + n
    width = tl.load(upper + n, mask=inside, other=0.0).to(ACCURACY)
    height = tl.load(upper + HEADS * POINTS + n, mask=inside, other=0.0).to(ACCURACY)
    given_x, x, left = coordinate(points, start, width, inside)
    given_y, y, top = coordinate(points, start + HEADS * POINTS, height, inside)
    below = tl.load(rows_to_below + n, mask=inside, other=0)
    corner = tl.load(origin_row + query // queries * HEADS * POINTS + n, mask=inside, other=0)
    corner += left.to(tl.int32) * rows_to_right + top.to(tl.int32) * below
    weight = tl.load(weights + m * POINTS + k, mask=inside, other=0.0).to(ACCURACY)
    return weight, start, given_x, x, left, given_y, y, top, width, height, corner, below


@triton.jit
@no_type_check
def forward_kernel(
    out,
    table,
    points,
    weights,
    upper,
    origin_row,
    rows_to_below,
    rows_to_right,
    sums,
    queries,
    HEADS: tl.constexpr,
    POINTS: tl.constexpr,
    CHANNELS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_C: tl.constexpr,
    ACCURACY: tl.constexpr,
):
    """Weighted sums of samples: BLOCK_M of them in each program, point after point."""
    m = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    c = tl.arange(0, BLOCK_C)[None, :]
    inside = m < sums
    total = tl.zeros((BLOCK_M, BLOCK_C), ACCURACY)
    for k in range(POINTS):
        weight, _, _, x, left, _, y, top, width, height, corner, below = sampled_point(
            points,
            weights,
            upper,
            origin_row,
            rows_to_below,
            rows_to_right,
            m,
            k,
            queries,
            inside,
            HEADS,
            POINTS,
            ACCURACY,
        )
        for j in tl.static_range(4):
            row, within = corner_row(left, top, corner, width, height, below, rows_to_right, inside, j % 2, j // 2)
            values = tl.load(table + row[:, None] * CHANNELS + c, mask=within[:, None] & (c < CHANNELS), other=0.0)
            factor = weight * share(x - left, j % 2) * share(y - top, j // 2)
            total += factor[:, None] * values.to(ACCURACY)
    tl.store(out + m[:, None] * CHANNELS + c, total, mask=inside[:, None] & (c < CHANNELS))


@triton.jit
@no_type_check
def backward_kernel(
    to_table,
    to_points,
    to_weights,
    gradient,
    table,
    points,
    weights,
    upper,
    origin_row,
    rows_to_below,
    rows_to_right,
    sums,
    queries,
    HEADS: tl.constexpr,
    POINTS: tl.constexpr,
    CHANNELS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_C: tl.constexpr,
    ACCURACY: tl.constexpr,
):
    """Gradients of BLOCK_M sums in each program: those of the table are added, those of points and weights written."""
    m = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    c = tl.arange(0, BLOCK_C)[None, :]
    inside = m < sums
    to_sum = tl.load(gradient + m[:, None] * CHANNELS + c, mask=inside[:, None] & (c < CHANNELS), other=0.0)
    to_sum = to_sum.to(ACCURACY)
    for k in range(POINTS):
        weight, start, given_x, x, left, given_y, y, top, width, height, corner, below = sampled_point(
            points,
            weights,
            upper,
            origin_row,
            rows_to_below,
            rows_to_right,
            m,
            k,
            queries,
            inside,
            HEADS,
            POINTS,
            ACCURACY,
        )
        to_weight = tl.zeros((BLOCK_M,), ACCURACY)
        slope_x = tl.zeros((BLOCK_M,), ACCURACY)  # of the product of the sum's gradient and this point's sample
        slope_y = tl.zeros((BLOCK_M,), ACCURACY)
        for j in tl.static_range(4):
            row, within = corner_row(left, top, corner, width, height, below, rows_to_right, inside, j % 2, j // 2)
            channels = within[:, None] & (c < CHANNELS)
            values = tl.load(table + row[:, None] * CHANNELS + c, mask=channels, other=0.0)
            product = tl.sum(to_sum * values.to(ACCURACY), axis=1)
            across, along = share(x - left, j % 2), share(y - top, j // 2)
            to_weight += across * along * product
            slope_x += (2 * (j % 2) - 1) * along * product
            slope_y += (2 * (j // 2) - 1) * across * product
            to_row = to_table + row[:, None] * CHANNELS + c
            tl.atomic_add(to_row, (weight * across * along)[:, None] * to_sum, mask=channels, sem="relaxed")
        tl.store(to_weights + m * POINTS + k, to_weight, mask=inside)
        tl.store(to_points + start, weight * slope_x * (x == given_x).to(ACCURACY), mask=inside)
        tl.store(to_points + start + HEADS * POINTS, weight * slope_y * (y == given_y).to(ACCURACY), mask=inside)


def launch(kernel: Any, arrays: tuple[Tensor, ...], sizes: tuple[int, ...], table: Tensor, weights: Tensor) -> None:
    """Runs a kernel on these arrays and sizes, in as many programs as the sums need; none if there are no sums."""
    images, queries, heads, points = weights.shape
    block_c = triton.next_power_of_2(table.shape[1])
    block_m = max(1, TILE // block_c)
    sums = images * queries * heads
    if not sums:
        return
    accuracy = tl.float64 if arrays[0].dtype == torch.float64 else tl.float32
    with torch.cuda.device_of(table):
        kernel[(triton.cdiv(sums, block_m),)](
            *arrays, *sizes, sums, queries, heads, points, table.shape[1], block_m, block_c, accuracy
        )


@torch.library.custom_op("detrdistill::sample", mutates_args=())
def sample(
    table: Tensor,
    points: Tensor,
    weights: Tensor,
    upper: Tensor,
    origin_row: Tensor,
    rows_to_below: Tensor,
    rows_to_right: int,
) -> Tensor:
    """Weighted sums "b q r c" of samples, as those of `core.nn.sampling.Sample`; the last arguments are of a TableLayout."""
    out = empty_sums(table, points, weights)
    inputs = (table.contiguous(), points.contiguous(), weights.contiguous())
    launch(forward_kernel, (out, *inputs, upper, origin_row, rows_to_below), (rows_to_right,), table, weights)
    return out


def empty_sums(table: Tensor, points: Tensor, weights: Tensor) -> Tensor:
    """A tensor for the sums, in float32, or in float64 if the points are."""
    dtype = torch.promote_types(points.dtype, torch.float32)
    return torch.empty(*weights.shape[:3], table.shape[1], dtype=dtype, device=table.device)


@sample.register_fake
def _(table: Tensor, points: Tensor, weights: Tensor, *_: Any) -> Tensor:
    return empty_sums(table, points, weights)


@torch.library.custom_op("detrdistill::sample_backward", mutates_args=())
def sample_backward(
    gradient: Tensor,
    table: Tensor,
    points: Tensor,
    weights: Tensor,
    upper: Tensor,
    origin_row: Tensor,
    rows_to_below: Tensor,
    rows_to_right: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of table, points and weights, in the precision of the sums."""
    outputs = (table.new_zeros(table.shape, dtype=gradient.dtype), *empty_gradients(gradient, points, weights))
    inputs = (gradient.contiguous(), table.contiguous(), points.contiguous(), weights.contiguous())
    arrays = (*outputs, *inputs, upper, origin_row, rows_to_below)
    launch(backward_kernel, arrays, (rows_to_right,), table, weights)
    return outputs


def empty_gradients(gradient: Tensor, points: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Contiguous tensors for the gradients of points and weights."""
    return gradient.new_empty(points.shape), gradient.new_empty(weights.shape)


@sample_backward.register_fake
def _(gradient: Tensor, table: Tensor, points: Tensor, weights: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return (table.new_empty(table.shape, dtype=gradient.dtype), *empty_gradients(gradient, points, weights))


def keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keeps the arguments alone for the backward pass."""
    *tensors, ctx.rows_to_right = inputs
    ctx.save_for_backward(*tensors)


def gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of the arguments of `sample`, each in its argument's precision."""
    arguments = ctx.saved_tensors
    outputs = sample_backward(gradient, *arguments, ctx.rows_to_right)
    return (*(x.to(argument.dtype) for x, argument in zip(outputs, arguments)), None, None, None, None)


sample.register_autograd(gradients, setup_context=keep)
