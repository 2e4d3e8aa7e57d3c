"""Loaders: batches of a dataset, read by worker processes.

Random numbers come from two kinds of generators, and from nothing else:

- The order of an epoch is drawn from (seed, epoch). Every process draws the whole order, and takes its share of each step.
- The augmentation of an image is drawn from (seed, epoch, index of the image).

So a batch depends neither on the number of workers, nor on what was read before, nor on torch's global generator. A step holds
the same images however many processes and passes share it, except that the last step must have an image for each of them.

The dataset, the augmentation and the seed are sent to each worker once, when it starts. After that a worker gets the keys of a
batch, and sends back a PackedBatch, or the UserError of an image that cannot be read.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from core.data.batch import collate
from core.data.order import batches, even_share, mixed_batches
from core.data.packed_batch import PackedBatch, pack, unpack
from core.data.sample import Dataset, Sample
from core.data.transforms import Augment, eval_transform, square_side, train_transform
from core.errors import UserError
from core.types import Images, Targets

Batches = Iterator[tuple[Images, Targets]]
SampleKey = tuple[int, int, int | None]  # epoch, index of the image, and the side of the step's squares if it is drawn

OF_STEP = 1  # sets the random numbers of a step apart from those of its images


KILLED = "a process that reads images was killed, most likely because memory ran out; try fewer --workers"


class WorkerDied(RuntimeError):
    """Raised if a worker process ended without an exception, for example because the system killed it to free memory."""


@dataclass(frozen=True)
class Loader:
    """The training batches of one process. Every image comes once an epoch; the last step may be smaller.

    With a `labelled_share`, images with labels come more or less often, as order.mixed_batches says.
    The processes share a step's images evenly. A process makes one batch of its share, or `passes` batches, whose gradients the
    training loop adds up.
    """

    dataset: Dataset
    augment: Augment
    batch: int  # images of a step, of all processes and passes together
    seed: int = 0
    workers: int = 0  # processes that read images; 0: the training process itself
    aspect_groups: int = 0  # above 0: a step holds images of similar aspect ratio, see order.batches
    rank: int = 0  # of this process
    processes: int = 1
    passes: int = 1
    pin: bool = False  # page-locked memory, from which a GPU copies while it computes
    labelled: int = 0  # the number of images with labels, which come first; only with `labelled_share`
    labelled_share: float = 0.0  # share of images with labels in each step, see order.mixed_batches; 0: as they come

    def __post_init__(self) -> None:
        images = min(self.batch, len(self.dataset))
        if images < self.smallest_step:
            raise UserError(
                f"{self.processes} processes with {self.passes} passes each need {self.smallest_step} images a step, but there"
                f" are {images}: raise --optim.batch, lower --optim.passes, or start fewer processes"
            )

    def __len__(self) -> int:
        """The number of steps in an epoch."""
        return len(self.order(0))

    @property
    def smallest_step(self) -> int:
        """The images that a step needs, so that every pass of every process has one."""
        return self.processes * self.passes

    @property
    def images_per_pass(self) -> int:
        """The largest number of images of a pass in a full step."""
        return -(-self.batch // self.smallest_step)

    @property
    def max_images(self) -> int:
        """An upper bound of this process's images in a step. The last step of an epoch may exceed `batch`, see `batches`."""
        return -(-(self.batch + self.smallest_step - 1) // self.processes)

    def order(self, epoch: int) -> list[list[int]]:
        """The indices of the images of each step, of all processes."""
        rng = np.random.default_rng((self.seed, epoch))
        if self.labelled_share:
            count, share = len(self.dataset), self.labelled_share
            return mixed_batches(count, self.labelled, self.batch, share, rng, smallest=self.smallest_step)
        sizes = self.dataset.sizes if self.aspect_groups else None
        return batches(len(self.dataset), self.batch, rng, sizes, self.aspect_groups, smallest=self.smallest_step)

    def epoch(self, number: int, start: int = 0) -> Batches:
        """This process's batches of one epoch, from step `start` on. UserError: an image cannot be read."""
        return chain.from_iterable(self.steps(number, start, until=number + 1))

    def steps(self, epoch: int, start: int, *, until: int) -> Iterator[list[tuple[Images, Targets]]]:
        """This process's batches of each step, a list of `passes`, from step `start` of `epoch` to the end of epoch `until` - 1.

        Workers don't pause between epochs: they read ahead into the next one. UserError: an image cannot be read.
        """
        keys = chain.from_iterable(self.keys(e, start if e == epoch else 0) for e in range(epoch, until))
        stream = read_batches(AugmentedSamples(self.dataset, self.augment, self.seed), keys, self.workers, self.pin)
        return iter(lambda: list(islice(stream, self.passes)), [])

    def keys(self, epoch: int, start: int) -> Iterator[list[SampleKey]]:
        """The keys of this process's batches, one list a pass, from step `start` on."""
        for step, images in list(enumerate(self.order(epoch)))[start:]:
            side = square_side(np.random.default_rng((self.seed, epoch, step, OF_STEP)), self.augment)
            share = even_share(images, self.rank, self.processes)
            for k in range(self.passes):
                yield [(epoch, index, side) for index in even_share(share, k, self.passes)]


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
    """Batches of every image once, or of the images with the indices `only`, in order. Images are resized, nothing else.

    Of several processes, each takes every `processes`-th batch. UserError: an image cannot be read.
    """
    indices = range(len(dataset)) if only is None else only
    groups = [indices[start : start + batch] for start in range(0, len(indices), batch)]
    return read_batches(EvalSamples(dataset, augment), groups[rank::processes], workers)


@dataclass(frozen=True)
class AugmentedSamples:
    """Augmented samples by their keys. Key and seed decide all that is random in a sample.

    An index beyond the images is a repeat of one of them, see order.mixed_batches.
    """

    dataset: Dataset
    augment: Augment
    seed: int

    def __getitem__(self, key: SampleKey) -> Sample:
        epoch, index, side = key
        rng = np.random.default_rng((self.seed, epoch, index))
        return train_transform(self.dataset[index % len(self.dataset)], rng, self.augment, side)


@dataclass(frozen=True)
class EvalSamples:
    """Samples for evaluation, by index. Nothing in them is random."""

    dataset: Dataset
    augment: Augment

    def __getitem__(self, index: int) -> Sample:
        return eval_transform(self.dataset[index], self.augment)


@dataclass(frozen=True)
class BatchFetcher:
    """Packed batches by the keys of their samples. Runs in a worker process.

    A UserError is returned, not raised: torch would raise it again in the training process with a worker's traceback as its text.
    """

    samples: AugmentedSamples | EvalSamples

    def __getitem__(self, keys: Sequence) -> PackedBatch | UserError:
        try:
            return pack(*collate([self.samples[key] for key in keys]))
        except UserError as error:
            return error


def read_batches(
    samples: AugmentedSamples | EvalSamples, keys: Iterable[Sequence], workers: int, pin: bool = False
) -> Batches:
    """One batch for each sequence of keys, in order. Raises the UserError of an image that cannot be read, and WorkerDied."""
    for item in fetched(BatchFetcher(samples), keys, workers, pin):
        if isinstance(item, UserError):
            raise item
        yield unpack(item)


def fetched(fetcher: Any, keys: Iterable[Sequence], workers: int, pin: bool = False) -> Iterator[Any]:
    """Yields `fetcher[k]` for each sequence of keys, in order, computed by worker processes. Raises WorkerDied."""
    loader: DataLoader = DataLoader(
        fetcher,
        batch_size=None,
        sampler=keys,
        collate_fn=identity,
        num_workers=workers,
        worker_init_fn=detach_worker,
        pin_memory=pin,
        generator=torch.Generator(),  # or torch would draw the workers' seeds from the model's generator
    )
    yield from reraise_worker_death(loader)


def reraise_worker_death(loader: DataLoader) -> Iterator[Any]:
    """The items of the loader. Raises WorkerDied with one sentence in place of torch's error.

    The loader's iterator is deleted before: while it lives, torch raises the same error again when another child process ends.
    """
    iterator = iter(loader)
    try:
        yield from iterator
    except (RuntimeError, EOFError, OSError) as error:
        if not is_worker_death(error):
            raise
        error.__traceback__ = error.__cause__ = error.__context__ = None  # their frames hold the iterator too
        del iterator
        raise WorkerDied(KILLED) from None


def is_worker_death(error: Exception) -> bool:
    """Returns whether an error of the loader's iterator means that a worker process is gone.

    Either torch notices that, and says "DataLoader worker ...", or the pipe to the worker breaks first. An exception that
    a worker raised and passed on begins with "Caught".
    """
    message = str(error)
    return not message.startswith("Caught") and (not isinstance(error, RuntimeError) or "DataLoader worker" in message)


def identity(item: Any) -> Any:
    """The item itself. Without this collate_fn torch would search it for arrays to convert."""
    return item


def detach_worker(worker: int) -> None:
    """Prepares a worker process: Ctrl-C doesn't reach it, and it ends when the training process ends.

    The terminal sends Ctrl-C to a process group. The training process answers it by finishing its step, and needs the workers for
    that, so they leave its group. torch's workers watch their parent, which under a fork server is not the training process.
    """
    os.setpgrp()
    Thread(target=exit_after, args=(parent_process(),), daemon=True).start()


def exit_after(main: BaseProcess) -> None:
    """Waits for the end of the process, then ends the own one at once."""
    main.join()
    os._exit(1)
