"""The device that a benchmark of GPUs measures, with its clock, its memory, and what it can do at most."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from torch.utils.flop_counter import FlopCounterMode

from core.errors import UserError

Call = Callable[[], object]
Clock = Callable[[Call, int], list[float]]  # milliseconds of so many calls, each by itself


@dataclass(frozen=True)
class Place:
    """A device and the clock that times calls on it. Tests give the CPU, and a clock of the host."""

    device: torch.device
    clock: Clock
    times: int = 10  # calls that count
    warm: int = 3  # calls before them

    @property
    def name(self) -> str:
        """The device's name, as its driver says it."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type


def gpu() -> Place:
    """The first GPU, timed by its own events. UserError: there is none."""
    if not torch.cuda.is_available():
        raise UserError("no CUDA device here")
    return Place(torch.device("cuda", torch.cuda.current_device()), by_events)


def by_events(call: Call, times: int) -> list[float]:
    """Milliseconds of each call between two events of the GPU, which are read after the last call."""
    pairs = []
    for _ in range(times):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        pairs.append((start, end))
    torch.cuda.synchronize()
    return [start.elapsed_time(end) for start, end in pairs]


def by_host(call: Call, times: int) -> list[float]:
    """Milliseconds of each call by the clock of the host: for a CPU, where a call ends when it returns."""
    milliseconds = []
    for _ in range(times):
        begun = perf_counter()
        call()
        milliseconds.append(1e3 * (perf_counter() - begun))
    return milliseconds


def measured(place: Place, call: Call) -> dict:
    """The median, least and most milliseconds of a call after warm-up, and on a GPU the peak of its memory in MB.

    On a GPU whose memory does not suffice, the row says so instead.
    """
    try:
        for _ in range(place.warm):
            call()
        reset_peak(place)
        times = place.clock(call, place.times)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return {"error": "the GPU's memory ran out"}
    row = {"ms": round(median(times), 4), "least": round(min(times), 4), "most": round(max(times), 4)}
    return row | peak(place)


def reset_peak(place: Place) -> None:
    """Begins to watch the peak of the memory anew."""
    if place.device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats(place.device)


def peak(place: Place) -> dict:
    """The peak of the memory in MB, weights included; nothing on a CPU."""
    if place.device.type != "cuda":
        return {}
    return {"peak_mb": round(torch.cuda.max_memory_allocated(place.device) / 2**20)}


def operations(call: Call) -> int:
    """Floating-point operations of the matrix products and convolutions in a call, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def product_rate(place: Place, dtype: torch.dtype, side: int) -> float:
    """Operations a second of a product of square matrices: what this device does at most, as measured here."""
    a, b = (torch.randn(side, side, device=place.device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / (1e-3 * measured(place, lambda: a @ b)["ms"])


def copy_rate(place: Place, count: int) -> float:
    """Bytes a second that a copy of `count` numbers reads and writes: the bandwidth of this device, as measured here."""
    source = torch.zeros(count, device=place.device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / (1e-3 * measured(place, lambda: target.copy_(source))["ms"])


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """While open, products and convolutions in float32 may be made in TF32, or may not."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
