"""Functions that spread work over several threads of the CPU."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def run_chunks(function: Callable[[T], Any], pieces: list[T]) -> None:
    """Calls the function with each piece, on as many threads as torch has.

    A thread works on whole pieces: waiting for each other after every operation would take longer than a piece.
    """
    threads = torch.get_num_threads()
    if len(pieces) > 1:
        torch.set_num_threads(1)  # which the threads of the pool inherit when they begin
    try:
        map_on_threads(function, pieces, threads)
    finally:
        torch.set_num_threads(threads)


def solver_threads(device: torch.device) -> int:
    """Number of threads for solving: torch's number on the CPU; with a GPU, this process's share of the cores."""
    if device.type == "cpu":
        return torch.get_num_threads()
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))  # set by torchrun


def map_on_threads(function: Callable[[T], R], items: list[T], threads: int) -> list[R]:
    """The function's result for each item, in order, computed on at most `threads` threads."""
    threads = min(threads, len(items))
    if threads < 2:
        return [function(x) for x in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
