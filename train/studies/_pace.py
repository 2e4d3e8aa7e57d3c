"""The time of a training step. Several runs take turns, so that a slow moment of the machine affects them all."""

from collections.abc import Iterator
from itertools import cycle
from statistics import median
from time import perf_counter

import torch

from train.job import optim
from train.job.build import Job, build
from train.run import Run

WARM = 5  # first steps, which are slower and are not counted


def step_seconds(runs: dict[str, Run], *, steps: int = 30) -> dict[str, float]:
    """The median seconds of a whole training step (data, forward, backward, optimiser) of each run, by its name."""
    jobs = {name: build(run) for name, run in runs.items()}
    stepping = {name: training_steps(job) for name, job in jobs.items()}
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(WARM + steps):
        for name, steps_of_run in stepping.items():
            begun = perf_counter()
            next(steps_of_run)
            times[name].append(perf_counter() - begun)
    return {name: median(seconds[WARM:]) for name, seconds in times.items()}


def training_steps(job: Job) -> Iterator[None]:
    """Makes one training step for each item that is taken from it, without end."""
    optimizer = optim.optimizer(job.distiller, job.run.optim)
    job.distiller.train()
    for epoch in cycle([0]):
        for images, targets in job.loader.epoch(epoch):
            trace = job.distiller(images.to(job.device), targets.to(job.device))
            trace.total.backward()
            torch.nn.utils.clip_grad_norm_(job.distiller.parameters(), job.run.optim.clip)
            optimizer.step()
            optimizer.zero_grad()
            yield
