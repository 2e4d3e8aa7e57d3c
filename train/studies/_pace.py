"""Measures the time of a training step, and that of a teacher which is asked once.

Several runs take turns, so that a slow moment of the machine affects them all.
"""

from collections.abc import Callable, Iterator
from itertools import count
from math import lcm
from pathlib import Path
from statistics import mean, median
from time import perf_counter, process_time

import torch

from core.files import read_json, write_json
from train.job import optim
from train.job.build import Job, build
from train.job.step import TeacherAnswers
from train.job.store import answers
from train.job.stored_teacher import open_store
from train.run import Run

WARM = 5  # first steps, which are slower and are not counted
TIMED = 128  # images on which the time of the teacher is measured


def kept_costs(file: Path, runs: dict[str, Run], stored: Run) -> dict[str, float]:
    """Seconds of one core: of a step of each run, by its name, and under "image" those in which the teacher looks at one image.

    Fills the teacher store of the run `stored`. `file` keeps the seconds, so that a repeated command trains the same rows.
    """
    if not file.exists():
        image = fill_store(stored, clock=process_time)
        write_json(file, {"image": image} | step_seconds(runs, clock=process_time))
    costs: dict[str, float] = read_json(file)
    return costs


def step_seconds(
    runs: dict[str, Run], *, steps: int = 30, clock: Callable[[], float] = perf_counter
) -> dict[str, float]:
    """The median seconds of a whole training step (data, forward, backward, optimiser) of each run, by its name.

    Where a loss is computed in every k-th step alone, it is the mean of the medians of k steps that follow each other.
    `clock` is what measures them; `time.process_time` does not count what other processes take from this one. Teacher stores
    must be complete.
    """
    jobs = {name: build(run) for name, run in runs.items()}
    stepping = {name: training_steps(job) for name, job in jobs.items()}
    times: dict[str, list[float]] = {name: [] for name in jobs}
    periods = {name: period_of(job) for name, job in jobs.items()}
    for _ in range(WARM + max(steps, *periods.values())):
        for name, steps_of_run in stepping.items():
            begun = clock()
            next(steps_of_run)
            times[name].append(clock() - begun)
    return {name: typical_seconds(seconds[WARM:], periods[name]) for name, seconds in times.items()}


def period_of(job: Job) -> int:
    """The number of steps after which the losses that are computed repeat."""
    return lcm(*(loss.every for loss in job.distiller.named_losses.values()))


def typical_seconds(seconds: list[float], period: int) -> float:
    """The mean, over a period, of the median of the steps at each place in it."""
    return mean(median(seconds[place::period]) for place in range(period))


def training_steps(job: Job) -> Iterator[None]:
    """Makes one training step for each item that is taken from it, without end."""
    optimizer, teacher = optim.optimizer(job.distiller, job.run.optim), TeacherAnswers(job)
    job.distiller.train()
    numbers, total = count(), len(job.loader) * job.run.optim.epochs
    while True:
        for images, targets in job.loader.epoch(0):
            factors = optim.loss_factors(job.distiller.named_losses, job.run.distil, next(numbers) % total, total)
            targets, answer = teacher.ask(images, targets, factors)
            batch = images.to(job.device), targets.to(job.device)
            trace = job.distiller(*batch, decoded_teacher=answer, factors=factors)
            trace.total.backward()
            torch.nn.utils.clip_grad_norm_(job.distiller.parameters(), job.run.optim.clip)
            optimizer.step()
            optimizer.zero_grad()
            yield


def fill_store(run: Run, *, clock: Callable[[], float] = perf_counter) -> float:
    """Fills the run's teacher store, and returns the seconds in which the teacher looks at an image.

    They are measured on TIMED images, which the teacher sees once more, so that a store that was filled before does not matter.
    """
    opened = open_store(build(run))
    assert opened is not None, "the run has a store"
    opened.store.complete(opened.teacher, opened.augment, batch=run.optim.batch, workers=run.workers)
    images = range(min(TIMED, len(opened.store.data)))
    begun = clock()
    for _ in answers(opened.teacher, opened.store.data, images, opened.augment, run.optim.batch, run.workers):
        pass
    return (clock() - begun) / len(images)
