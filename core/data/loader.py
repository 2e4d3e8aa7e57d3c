"""Batches in an order, and with random draws, that depend on nothing but seed, epoch and position."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from threading import Thread

import numpy as np
import torch
from torch.utils.data import DataLoader

from core.data.batch import collate
from core.data.order import batches, share
from core.data.packed_batch import PackedBatch, pack, unpack
from core.data.sample import Dataset, Sample
from core.data.transforms import Augment, plain, training
from core.errors import UserError
from core.types import Images, Targets

Batches = Iterator[tuple[Images, Targets]]


KILLED = "a process that reads images was killed, most likely for want of memory; try fewer --workers"


class WorkerDied(RuntimeError):
    """A process that reads images ended by itself, as when memory runs out."""


@dataclass(frozen=True)
class Loader:
    """Training batches; every image comes once an epoch, the last batch may be smaller.

    A sample's augmentation is drawn from (seed, epoch, index), so neither the number of workers nor of processes
    nor the position at which a run was resumed changes a batch. Of `processes` each takes an even part of a batch, its
    `rank`'s, and of that `passes` batches are made.
    """

    dataset: Dataset
    augment: Augment
    batch: int  # images of all processes and passes
    seed: int = 0
    workers: int = 0
    shapes: int = 0  # groups of like aspect ratio for each of upright and lying images; a batch is of one group
    rank: int = 0
    processes: int = 1
    passes: int = 1
    pin: bool = False  # memory that a GPU copies from while it computes

    def __post_init__(self):
        least = self.processes * self.passes
        if min(self.batch, len(self.dataset)) < least:
            raise UserError(
                f"{self.processes} processes with {self.passes} passes each need {least} images a step, but there are "
                f"{min(self.batch, len(self.dataset))}: raise --optim.batch, lower --optim.passes, or start fewer processes"
            )

    def __len__(self) -> int:
        """Steps in an epoch."""
        return len(self.order(0))

    @property
    def each(self) -> int:
        """Images of a pass."""
        return -(-self.batch // (self.processes * self.passes))

    @property
    def room(self) -> int:
        """Images of a process in a step, at most."""
        return -(-(self.batch + self.processes * self.passes - 1) // self.processes)

    def order(self, epoch: int) -> list[list[int]]:
        """The images of each step of an epoch."""
        rng = np.random.default_rng((self.seed, epoch))
        least = self.processes * self.passes
        sizes = self.dataset.sizes if self.shapes else None
        return batches(len(self.dataset), self.batch, rng, sizes, self.shapes, least=least)

    def epoch(self, number: int, start: int = 0) -> Batches:
        """The batches of epoch `number`, without those of its first `start` steps. UserError: an image cannot be read."""
        return chain.from_iterable(self.steps(number, start, until=number + 1))

    def steps(self, epoch: int, start: int, *, until: int) -> Iterator[list[tuple[Images, Targets]]]:
        """The passes of each step from there on, through all epochs before `until`: workers read ahead across epochs.

        UserError: an image cannot be read.
        """
        parts = chain.from_iterable(self.parts(e, start if e == epoch else 0) for e in range(epoch, until))
        draws = Draws(self.dataset, self.augment, self.seed)
        stream = read(draws, parts, self.workers, self.pin)
        return iter(lambda: list(islice(stream, self.passes)), [])

    def parts(self, epoch: int, start: int) -> Iterator[list[tuple[int, int]]]:
        for images in self.order(epoch)[start:]:
            mine = share(images, self.rank, self.processes)
            for k in range(self.passes):
                yield [(epoch, index) for index in share(mine, k, self.passes)]


def evaluation(
    dataset: Dataset,
    augment: Augment,
    batch: int,
    workers: int = 0,
    only: Sequence[int] | None = None,
    *,
    rank: int = 0,
    processes: int = 1,
) -> Batches:
    """Every image once, or those at the places `only`, in order, resized only.

    Of several processes each takes every so many-th batch. UserError: an image cannot be read.
    """
    places = range(len(dataset)) if only is None else only
    groups = [places[start : start + batch] for start in range(0, len(places), batch)]
    return read(Plain(dataset, augment), groups[rank::processes], workers)


@dataclass(frozen=True)
class Draws:
    """Augmented samples by (epoch, index)."""

    dataset: Dataset
    augment: Augment
    seed: int

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        epoch, index = key
        return training(self.dataset[index], np.random.default_rng((self.seed, epoch, index)), self.augment)


@dataclass(frozen=True)
class Plain:
    """Samples as evaluation sees them, by index."""

    dataset: Dataset
    augment: Augment

    def __getitem__(self, index: int) -> Sample:
        return plain(self.dataset[index], self.augment)


@dataclass(frozen=True)
class Fetch:
    """Whole batches by their keys. A UserError is returned, since torch would bury it in the traceback of a worker."""

    samples: Draws | Plain

    def __getitem__(self, keys: Sequence) -> PackedBatch | UserError:
        try:
            return pack(*collate([self.samples[key] for key in keys]))
        except UserError as error:
            return error


def read(samples: Draws | Plain, groups, workers: int, pin: bool = False) -> Batches:
    loader = DataLoader(
        Fetch(samples),
        batch_size=None,
        sampler=groups,
        collate_fn=unchanged,
        num_workers=workers,
        worker_init_fn=settle,
        pin_memory=pin,
        generator=torch.Generator(),  # of its own: the global one belongs to the model's draws
    )
    for item in watched(loader):
        if isinstance(item, UserError):
            raise item
        yield unpack(item)


def watched(loader: DataLoader) -> Iterator:
    """WorkerDied says in one sentence what torch says in many.

    The iterator goes first: while it lives, torch raises the same error again at whatever child ends next.
    """
    iterator = iter(loader)
    try:
        yield from iterator
    except (RuntimeError, EOFError, OSError) as error:
        if not of_a_death(error):
            raise
        error.__traceback__ = error.__cause__ = error.__context__ = None  # whose frames hold it too
        del iterator
        raise WorkerDied(KILLED) from None


def of_a_death(error: Exception) -> bool:
    """Torch sees that a process is gone, or the pipe to it breaks first; what a living one meets torch calls caught."""
    said = str(error)
    return not said.startswith("Caught") and (not isinstance(error, RuntimeError) or "DataLoader worker" in said)


def unchanged(item):
    """Torch would take a batch apart to look for arrays."""
    return item


def settle(worker: int) -> None:
    """Ctrl-C is for the main process, which finishes its step; a worker in the same group would die at once.

    And a worker ends with the main process, however that ends: torch looks for the death of a worker's parent, which
    with a fork server is not the main process.
    """
    os.setpgrp()
    Thread(target=end_with, args=(parent_process(),), daemon=True).start()


def end_with(main: BaseProcess) -> None:
    main.join()
    os._exit(1)
