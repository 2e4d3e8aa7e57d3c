"""Work on several threads of the CPU."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


def run_chunks(function: Callable, pieces: list) -> None:
    """Each of torch's threads takes whole pieces: meeting after every operation costs them more than a piece does."""
    threads = torch.get_num_threads()
    if len(pieces) > 1:
        torch.set_num_threads(1)  # those of the pool take this over when they begin
    try:
        map_on_threads(function, pieces, threads)
    finally:
        torch.set_num_threads(threads)


def solver_threads(device: torch.device) -> int:
    """How many may solve: as many as torch has on the CPU; beside a GPU this process's share of the cores."""
    if device.type == "cpu":
        return torch.get_num_threads()
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))  # of torchrun


def map_on_threads(function: Callable, of: list, threads: int) -> list:
    threads = min(threads, len(of))
    if threads < 2:
        return [function(x) for x in of]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, of))
