"""Connects the processes of one run, when torchrun starts them and when it restarts them.

torchrun keeps one key-value store over all restarts, and torch writes the same keys into it each time (seen in 2.14). A
restarted process may therefore read the address of a process that has died, and then fail or wait for ever. So the
processes first agree on a prefix that no other start has, and connect with keys under this prefix.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from time import sleep
from uuid import uuid4

import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

TIMEOUT = 300.0  # seconds


def join_processes(backend: str) -> None:
    """Makes the process group of all processes that torchrun started; after TIMEOUT the program exits with code 1."""
    with exit_after(TIMEOUT):
        store, rank, size = next(rendezvous("env://"))
        prefix = agree_on_prefix(store, rank, size)
        prefixed = dist.PrefixStore(prefix, store)  # type: ignore[attr-defined]  # public, but missing in torch's __all__
        dist.init_process_group(backend, store=prefixed, rank=rank, world_size=size)


def agree_on_prefix(store: dist.Store, rank: int, size: int) -> str:
    """Returns a random text, the same in all processes of this start and different from that of any other start.

    Process 0 draws the prefix. Each other process writes a random token under `call RANK` and waits for `answer TOKEN`; process
    0 writes the prefix there, and the process confirms it under `heard PREFIX RANK`. Process 0 may first read a token that an
    earlier start left under `call RANK`; it therefore answers again and again until every process has confirmed.
    """
    token = uuid4().hex
    if rank:
        store.set(f"call {rank}", token)
        prefix = store.get(f"answer {token}").decode()
        store.set(f"heard {prefix} {rank}", "")
        return prefix
    prefix, waiting = token, set(range(1, size))
    while waiting:
        for other in (k for k in waiting if store.check([f"call {k}"])):
            store.set(f"answer {store.get(f'call {other}').decode()}", prefix)
        waiting = {k for k in waiting if not store.check([f"heard {prefix} {k}"])}
        sleep(0.01)
    return prefix


@contextmanager
def exit_after(seconds: float) -> Iterator[None]:
    """Exits the program if the block takes longer, even if it hangs in C++ code; torchrun then restarts all processes."""
    timer = Timer(seconds, exit_unconnected, (seconds,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def exit_unconnected(seconds: float) -> None:
    """Exits with code 1 and says why; called from a thread, so that no cleanup runs."""
    print(f"the processes of this run did not connect within {seconds:g} s", file=sys.stderr, flush=True)
    os._exit(1)
