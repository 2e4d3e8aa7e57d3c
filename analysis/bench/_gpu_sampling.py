"""Deformable sampling on a GPU in three ways: today's, grid_sample level by level, and the own kernel."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from analysis.bench._gpu_place import Place, copy_rate, measured
from core.nn.sampling import Sample, Shapes, TableLayout, sample, table, table_layout, uses_kernels

Way = Callable[["SamplingCase"], Tensor]


@dataclass(frozen=True)
class SamplingSize:
    """The sizes of one sampling: of an encoder, a decoder, or AdaMixer's."""

    name: str
    images: int
    queries: int
    shapes: Shapes
    heads: int
    groups: int
    points: int
    channels: int  # of a group


@dataclass(frozen=True)
class SamplingCase:
    """The inputs of one sampling, which are leaves."""

    maps: list[Float[Tensor, "b _ _ d"]]
    points: Float[Tensor, "b q 2 n"]
    weights: Float[Tensor, "b q r k"]
    layout: TableLayout
    size: SamplingSize

    @property
    def inputs(self) -> list[Tensor]:
        """All of them."""
        return [*self.maps, self.points, self.weights]


def random_case(place: Place, size: SamplingSize) -> SamplingCase:
    """Random maps in half precision on a GPU, and points that are spread over them as those of a trained detector."""
    torch.manual_seed(0)
    dtype, d = (torch.bfloat16 if place.device.type == "cuda" else torch.float32), size.groups * size.channels
    k = size.points * len(size.shapes)
    maps = [torch.randn(size.images, *s, d, device=place.device, dtype=dtype) for s in size.shapes]
    layout = table_layout(
        size.shapes,
        images=size.images,
        heads=size.heads,
        groups=size.groups,
        points=size.points,
        device=place.device,
    )
    points = torch.rand(size.images, size.queries, 2, size.heads * k, device=place.device)
    weights = torch.rand(size.images, size.queries, size.heads, k, device=place.device).softmax(-1)
    leaves = [x.requires_grad_() for x in (*maps, points * (layout.upper + 1) - 1, weights)]
    return SamplingCase(leaves[:-2], leaves[-2], leaves[-1], layout, size)


def by_sums(case: SamplingCase) -> Tensor:
    """The sums by `embedding_bag`, with torch's own derivative on a GPU."""
    return Sample.apply(table(case.maps, case.size.groups), case.points, case.weights, case.layout)


def by_grid_sample(case: SamplingCase) -> Tensor:
    """The sums by `grid_sample`, one call for each level; heads and groups must be equal in number."""
    heads, out = case.size.heads, []
    points = rearrange(case.points, "b q two (r l p) -> (b r) l q p two", r=heads, l=len(case.maps))
    weights = rearrange(case.weights, "b q r (l p) -> (b r) l 1 q p", l=len(case.maps))
    for level, values in enumerate(case.maps):
        h, w = values.shape[1:3]
        size = points.new_tensor([w, h])
        grid = (2 * points[:, level] + 1) / size - 1
        images = rearrange(values, "b h w (r c) -> (b r) c h w", r=heads).to(grid.dtype)
        out.append((F.grid_sample(images, grid, align_corners=False) * weights[:, level]).sum(-1))
    return rearrange(torch.stack(out).sum(0), "(b r) c q -> b q r c", r=heads)


def by_kernel(case: SamplingCase) -> Tensor:
    """The sums as detectors make them: on a GPU by the own kernel."""
    return sample(table(case.maps, case.size.groups), case.points, case.weights, case.layout)


WAYS: dict[str, Way] = {"embedding_bag": by_sums, "grid_sample": by_grid_sample, "kernel": by_kernel}


def rows(place: Place, sizes: list[SamplingSize], copied: int) -> list[dict]:
    """A row for each size and way: forward, and forward and backward, with bytes against the device's bandwidth."""
    bandwidth, made = copy_rate(place, copied), []
    for size in sizes:
        case = random_case(place, size)
        for name, way in WAYS.items():
            if name == "grid_sample" and size.heads != size.groups:
                continue
            made.append({"case": f"sampling, {size.name}, {name}"} | row(place, case, way, bandwidth))
            made[-1] |= {"own kernel": uses_kernels(case.maps[0])} if name == "kernel" else {}
    return made


def row(place: Place, case: SamplingCase, way: Way, bandwidth: float) -> dict:
    """Times of one way; `share` is the time in which the device could move the bytes of a forward pass at least once."""
    gradient = torch.randn_like(way(case))
    forward = measured(place, torch.no_grad()(lambda: way(case)))
    both = measured(place, lambda: torch.autograd.grad(way(case), case.inputs, gradient))
    least = sum(x.nbytes for x in (*case.inputs, gradient))
    numbers = {"forward_ms": forward.get("ms"), "both_ms": both.get("ms"), "peak_mb": both.get("peak_mb")}
    numbers |= {"least_mb": round(least / 2**20, 2), "read_mb": round(read_bytes(case) / 2**20, 2)}
    if "ms" in forward:
        numbers["share"] = round(1e3 * least / bandwidth / forward["ms"], 4)
    return {key: value for key, value in numbers.items() if value is not None}


def read_bytes(case: SamplingCase) -> int:
    """Bytes of the rows at all corners of all points, most of which caches hold."""
    return 4 * case.weights.numel() * case.size.channels * case.maps[0].element_size()
