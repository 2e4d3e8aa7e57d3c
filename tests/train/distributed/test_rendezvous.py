"""Processes connect, whatever earlier starts left in torchrun's store."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch.distributed as dist

from tests.helpers import processes
from train.distributed import rendezvous


def test_each_start_has_a_prefix_of_its_own():
    """In one store, with 1 to 5 processes; before each start a process of an earlier one called and died."""
    store, names = dist.HashStore(), []
    with ThreadPoolExecutor(5) as pool:
        for size in (3, 3, 1, 5, 2):
            store.set("call 1", f"of one that is dead, {size}")
            found = list(pool.map(rendezvous.agree_on_prefix, [store] * size, range(size), [size] * size))
            assert len(set(found)) == 1
            names += found[:1]
    assert len(set(names)) == len(names)


def wait_for_the_other(rank: int, port: int, into) -> None:
    rendezvous.TIMEOUT = 1.0
    processes.one(time.sleep, (1.5,), rank, 2, port, into)


@pytest.mark.parametrize("come, code", [(1, 1), (2, 0)])
def test_processes_that_do_not_connect_exit_and_others_take_their_time(come, code, tmp_path):
    """A hang in the handshake would last; torchrun starts again what has ended."""
    port = processes.free_port()
    children = [processes.CONTEXT.Process(target=wait_for_the_other, args=(k, port, tmp_path)) for k in range(come)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [code] * come
    assert len(list(tmp_path.glob("*.txt"))) == (0 if code else 2)
