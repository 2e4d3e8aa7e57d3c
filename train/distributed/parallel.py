"""Communication between the processes of one run, as torchrun starts them.

Numbers and texts go between hosts over gloo and do not wait for a GPU; gradients go over NCCL if there are GPUs. In a
process alone, without a process group, each function does what it would do for one process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor

from core.errors import UserError
from train.distributed.rendezvous import join_processes
from train.errors import Lost


@dataclass(frozen=True)
class Ranks:
    """The numbers of this process."""

    rank: int = 0
    size: int = 1  # processes of the run
    local: int = 0  # the number among the processes of its machine, which is the GPU it uses

    @property
    def first(self) -> bool:
        """Returns whether this is the process that writes files and prints."""
        return self.rank == 0


def ranks() -> Ranks:
    """The numbers of this process, from torchrun's environment variables."""
    return Ranks(
        *(int(os.environ.get(name, usual)) for name, usual in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    )


def launch_id() -> str | None:
    """torchrun's name for this start of the program, the same after each restart; None without torchrun."""
    return os.environ.get("TORCHELASTIC_RUN_ID")


def restarted() -> bool:
    """Returns whether torchrun may have started this program before; `none` is its name for every start without a name."""
    return launch_id() not in (None, "none") or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


@contextmanager
def process_group(cuda: bool) -> Iterator[None]:
    """Connects the processes that torchrun started, for the block; does nothing for a process alone.

    Raises Lost if another process ends without a message.
    """
    if ranks().size == 1:
        yield
        return
    try:
        join_processes("cpu:gloo,cuda:nccl" if cuda else "gloo")
        yield
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise Lost("another process of this run is gone; go on with: python -m train resume RUN") from error
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def gather_numbers(numbers: list[int]) -> list[list[int]]:
    """The numbers of every process, by rank; each process must give equally many."""
    if not dist.is_initialized():
        return [numbers]
    own = torch.tensor(numbers)
    gathered = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, own)
    return [x.tolist() for x in gathered]


def first_text(text: str) -> str:
    """The text of the first process whose text is not empty; "" if there is none."""
    data = list(text.encode(errors="surrogatepass"))
    longest = max(n for (n,) in gather_numbers([len(data)]))
    texts = gather_numbers(data + [-1] * (longest - len(data))) if longest else []
    return next(
        (bytes(n for n in codes if n >= 0).decode(errors="surrogatepass") for codes in texts if codes[0] >= 0), ""
    )


@contextmanager
def share_user_errors() -> Iterator[None]:
    """Raises a UserError of one process in all processes, with the same message; all must enter the block."""
    message = ""
    try:
        yield
    except UserError as error:
        message = str(error)
    if message := first_text(message):
        raise UserError(message)


def average_in_place(values: Tensor) -> Tensor:
    """Replaces values by their mean over processes, and returns the same tensor."""
    if dist.is_initialized():
        dist.all_reduce(values)
        values /= dist.get_world_size()
    return values


def gather_rows(table: Shaped[Tensor, "n k"]) -> Shaped[Tensor, "m k"]:
    """The rows of every process, by rank; processes may have different numbers of rows."""
    if not dist.is_initialized():
        return table
    counts = [n for (n,) in gather_numbers([len(table)])]
    padded = table.new_zeros(max(counts), table.shape[1])
    padded[: len(table)] = table
    gathered = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(gathered, padded)
    return torch.cat([x[:n] for x, n in zip(gathered, counts)])
