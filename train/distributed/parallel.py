"""The processes of one run, as torchrun starts them: who this one is, and what all must agree on.

Numbers and sentences go between hosts over gloo and wait for no GPU; gradients go over NCCL where there are GPUs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from core.errors import UserError
from train.distributed.rendezvous import meet
from train.errors import Lost


@dataclass(frozen=True)
class Ranks:
    rank: int = 0
    size: int = 1
    local: int = 0  # on its machine: which GPU it takes

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0


def ranks() -> Ranks:
    return Ranks(
        *(int(os.environ.get(name, usual)) for name, usual in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    )


def launch() -> str | None:
    """What torchrun calls this start of the program, the same after each of its restarts."""
    return os.environ.get("TORCHELASTIC_RUN_ID")


def restarted() -> bool:
    """Whether torchrun may have started this program before; `none` is what it calls any start without a name."""
    return launch() not in (None, "none") or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


@contextmanager
def joined(cuda: bool) -> Iterator[None]:
    """While open, the processes that torchrun started are one group; a process alone needs none.

    Raises Lost where another one ends without a word.
    """
    if ranks().size == 1:
        yield
        return
    try:
        meet("cpu:gloo,cuda:nccl" if cuda else "gloo")
        yield
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise Lost("another process of this run is gone; go on with: python -m train resume RUN") from error
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def gathered(numbers: list[int]) -> list[list[int]]:
    """The numbers of every process, by rank; each gives as many."""
    if not dist.is_initialized():
        return [numbers]
    mine = torch.tensor(numbers)
    found = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(found, mine)
    return [x.tolist() for x in found]


def first_word(text: str) -> str:
    """The text of the first process that has one."""
    data = list(text.encode())
    longest = max(n for (n,) in gathered([len(data)]))
    words = gathered(data + [-1] * (longest - len(data))) if longest else []
    return next((bytes(n for n in word if n >= 0).decode() for word in words if word[0] >= 0), "")


@contextmanager
def together() -> Iterator[None]:
    """What a user got wrong for one process ends all of them, with its sentence."""
    wrong = ""
    try:
        yield
    except UserError as error:
        wrong = str(error)
    if wrong := first_word(wrong):
        raise UserError(wrong)


def mean(values: torch.Tensor) -> torch.Tensor:
    """Over processes; the result is in the tensor that is given."""
    if dist.is_initialized():
        dist.all_reduce(values)
        values /= dist.get_world_size()
    return values


def gathered_rows(table: torch.Tensor) -> torch.Tensor:
    """The rows of every process, n k, by rank; each may have another number of them."""
    if not dist.is_initialized():
        return table
    counts = [n for (n,) in gathered([len(table)])]
    mine = table.new_zeros(max(counts), table.shape[1])
    mine[: len(table)] = table
    found = [torch.empty_like(mine) for _ in counts]
    dist.all_gather(found, mine)
    return torch.cat([x[:n] for x, n in zip(found, counts)])
