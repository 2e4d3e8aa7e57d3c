"""What a step costs: several runs in turns, step by step, so that a slow moment of the machine meets them all."""

from itertools import cycle
from statistics import median
from time import perf_counter

import torch

from train.job import optim
from train.job.build import Job, build
from train.run import Run

WARM = 5  # first steps, which are slower and not counted


def step_seconds(runs: dict[str, Run], *, steps: int = 30) -> dict[str, float]:
    """The median time of a whole training step (data, forward, backward, optimiser) of each run."""
    jobs = {name: build(run) for name, run in runs.items()}
    paces = {name: paced(job) for name, job in jobs.items()}
    times = {name: [] for name in jobs}
    for _ in range(WARM + steps):
        for name, pace in paces.items():
            begun = perf_counter()
            next(pace)
            times[name].append(perf_counter() - begun)
    return {name: median(seconds[WARM:]) for name, seconds in times.items()}


def paced(job: Job):
    """A training step each time it is asked."""
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
