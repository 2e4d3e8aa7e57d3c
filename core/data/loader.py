"""Batches in an order, and with random draws, that depend on nothing but seed, epoch and position."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader

from core.data.batch import collate
from core.data.sample import Dataset, Sample
from core.data.transforms import Augment, plain, training
from core.errors import UserError
from core.types import Images, Targets

Batches = Iterator[tuple[Images, Targets]]


@dataclass(frozen=True)
class Loader:
    """Training batches; every image comes once an epoch, the last batch may be smaller.

    A sample's augmentation is drawn from (seed, epoch, index), so neither the number of workers
    nor the position at which a run was resumed changes a batch.
    """

    dataset: Dataset
    augment: Augment
    batch: int
    seed: int = 0
    workers: int = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self.dataset) / self.batch)

    def epoch(self, number: int, start: int = 0) -> Batches:
        """The batches of epoch `number`, without the first `start` of them. UserError: an image cannot be read."""
        order = np.random.default_rng((self.seed, number)).permutation(len(self.dataset))
        keys = [(number, int(index)) for index in order[start * self.batch :]]
        return stream(Draws(self.dataset, self.augment, self.seed), keys, self.batch, self.workers)


def evaluation(dataset: Dataset, augment: Augment, batch: int, workers: int = 0) -> Batches:
    """Every image once, in order, resized only. UserError: an image cannot be read."""
    return stream(Plain(dataset, augment), range(len(dataset)), batch, workers)


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

    def __getitem__(self, keys: Sequence) -> tuple[Images, Targets] | UserError:
        try:
            return collate([self.samples[key] for key in keys])
        except UserError as error:
            return error


def stream(samples: Draws | Plain, keys: Sequence, batch: int, workers: int) -> Batches:
    groups = [keys[start : start + batch] for start in range(0, len(keys), batch)]
    loader = DataLoader(
        Fetch(samples),
        batch_size=None,
        sampler=groups,
        collate_fn=unchanged,
        num_workers=workers,
        worker_init_fn=leave_group,
        generator=torch.Generator(),  # of its own: the global one belongs to the model's draws
    )
    for item in loader:
        if isinstance(item, UserError):
            raise item
        yield item


def unchanged(item):
    """Torch would take a batch apart to look for arrays."""
    return item


def leave_group(worker: int) -> None:
    """Ctrl-C is for the main process, which finishes its step; a worker in the same group would die at once."""
    os.setpgrp()
