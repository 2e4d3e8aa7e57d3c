"""Trains a tiny detector by transformers' own model and loss, as the reference of the study `hub`.

The network is the very object that our detector holds, with the same first weights; data, order, augmentation, optimiser and
schedule are those of the run. What differs is that transformers computes the loss: `network(pixels, mask, labels).loss`.
"""

import re
from pathlib import Path
from time import perf_counter
from typing import Any

from torch import Tensor, nn

from core.detectors import hub
from core.files import read_json, write_json
from core.runs.results import numbers
from core.types import Images, Targets
from train.distributed.evaluate import score
from train.job import optim
from train.job.build import Job, build
from train.run import Run
from train.studies._grid import row_folder


def result_file(run: Run) -> Path:
    """The file of the reference's row, named by what decides the run's result."""
    folder = row_folder(run)
    return folder.with_name(f"{folder.name}.reference.json")


def reference_row(run: Run) -> dict[str, Any]:
    """The row of the reference of a run: read if it was trained before, otherwise trained now on one thread."""
    file = result_file(run)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, trained(build(run)))
    row: dict[str, Any] = read_json(file)
    return row


def trained(job: Job) -> dict[str, Any]:
    """Trains the student of a job by transformers' loss, and returns its row: scores after `eval_every` epochs, and the time."""
    run, student = job.run, job.distiller.student
    assert isinstance(student, hub.Model)
    train_all(student)
    optimizer, steps = optim.optimizer(job.distiller, run.optim), run.optim.epochs * len(job.loader)
    scores, seconds, step = [], 0.0, 0
    for epoch in range(run.optim.epochs):
        begun = perf_counter()
        job.distiller.train()
        for images, targets in job.loader.epoch(epoch):
            optim.set_rate(optimizer, optim.rate_factor(run.optim, step, steps))
            own_loss(student, images, targets).backward()
            nn.utils.clip_grad_norm_(job.distiller.parameters(), run.optim.clip)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
        seconds += perf_counter() - begun
        if (epoch + 1) % run.eval_every == 0 or epoch + 1 == run.optim.epochs:
            scores.append(evaluated(job))
            print(f"epoch {epoch + 1} of {run.optim.epochs}: AP {scores[-1]['ap']}", flush=True)
    last = {"ap_by_epoch": [s["ap"] for s in scores], "steps": step, "seconds": seconds, "seed": run.seed}
    return scores[-1] | last


def train_all(student: hub.Model) -> None:
    """Takes the weights into training that only transformers' own training uses."""
    for name, parameter in student.network.named_parameters():
        if re.search(f"{hub.UNUSED}|{hub.LATER_GROUPS}", name):
            parameter.requires_grad_(True)


def own_loss(student: hub.Model, images: Images, targets: Targets) -> Tensor:
    """The loss of transformers' own model for a batch whose images are not padded."""
    pixels, padding = student.padded(images)
    loss: Tensor = student.network(pixels, pixel_mask=(~padding).long(), labels=labels_of(targets)).loss
    return loss


def labels_of(targets: Targets) -> list[dict[str, Tensor]]:
    """The objects of each image as transformers takes them."""
    of_image = [targets.image == k for k in range(len(targets.counts))]
    return [{"class_labels": targets.labels[x], "boxes": targets.boxes[x]} for x in of_image]


def evaluated(job: Job) -> dict[str, float | None]:
    """COCO's six numbers of the student on the run's validation images."""
    batch = job.loader.images_per_pass
    return numbers(score(job.distiller.student, job.val, job.run.data.augment, batch=batch, workers=0) or {})
