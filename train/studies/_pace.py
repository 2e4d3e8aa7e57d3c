"""Measures the time of a training step, and that of a teacher which is asked once.

Several runs take turns, so that a slow moment of the machine affects them all.
"""

from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from statistics import median
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

    `clock` is what measures them; `time.process_time` does not count what other processes take from this one. Teacher stores
    must be complete.
    """
    jobs = {name: build(run) for name, run in runs.items()}
    stepping = {name: training_steps(job) for name, job in jobs.items()}
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(WARM + steps):
        for name, steps_of_run in stepping.items():
            begun = clock()
            next(steps_of_run)
            times[name].append(clock() - begun)
    return {name: median(seconds[WARM:]) for name, seconds in times.items()}


def training_steps(job: Job) -> Iterator[None]:
    """Makes one training step for each item that is taken from it, without end."""
    optimizer, teacher = optim.optimizer(job.distiller, job.run.optim), TeacherAnswers(job)
    job.distiller.train()
    for epoch in cycle([0]):
        for images, targets in job.loader.epoch(epoch):
            targets, answer = teacher.ask(images, targets)
            trace = job.distiller(images.to(job.device), targets.to(job.device), decoded_teacher=answer)
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
