"""How the processes of one run meet, when torchrun starts them and when it starts them again.

torchrun serves one store to all its restarts, and torch writes the same keys into it each time (seen in 2.14): a process
that is started again may read where one that is dead was listening, and then fails or waits for ever. So the processes
agree on a name first, and meet under it.
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

LONGEST = 300.0  # seconds


def meet(backend: str) -> None:
    """Make the group of all processes that torchrun started; the program ends with code 1 where they do not meet."""
    with ended_after(LONGEST):
        store, rank, size = next(rendezvous("env://"))
        store = dist.PrefixStore(common_name(store, rank, size), store)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)


def common_name(store: dist.Store, rank: int, size: int) -> str:
    """The same for all processes that are started now, and no other start's.

    Each calls the first one with a word of its own, which the first one answers. It may read a call of an earlier start,
    and goes on until all have heard it.
    """
    mine = uuid4().hex
    if rank:
        store.set(f"call {rank}", mine)
        name = store.get(f"answer {mine}").decode()
        store.set(f"heard {name} {rank}", "")
        return name
    waiting = set(range(1, size))
    while waiting:
        for other in (k for k in waiting if store.check([f"call {k}"])):
            store.set(f"answer {store.get(f'call {other}').decode()}", mine)
        waiting = {k for k in waiting if not store.check([f"heard {mine} {k}"])}
        sleep(0.01)
    return mine


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """The program ends if what is inside takes longer, whatever it hangs in; torchrun then starts all processes again."""
    timer = Timer(seconds, give_up, (seconds,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def give_up(seconds: float) -> None:
    print(f"the processes of this run did not meet within {seconds:g} s", file=sys.stderr, flush=True)
    os._exit(1)
