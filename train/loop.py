"""The training loop, and how it starts, stops and goes on."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import nn

from core.data.loader import evaluation
from core.errors import UserError
from core.types import DistillTrace, Images, Targets
from train import folder, optim, state
from train.build import Job, build
from train.interrupt import Interrupt, Stopped
from train.log import Log, summary
from train.run import Run
from train.score import score

AMP = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class NotFinite(ArithmeticError):
    """A loss or a cost of matching is infinite or no number."""


def fit(run: Run, path: Path, *, note: dict | None = None) -> Path:
    """Train from the start into the new folder `path`, whose card also holds `note`; gives `path`.

    Raises Stopped after a signal, and NotFinite; what the user got wrong is a UserError, and leaves no folder.
    """
    folder.refuse_taken(path)
    with Interrupt() as interrupt:
        job = build(run)
        scores = None if job.distiller.teacher is None else measure(job, job.distiller.teacher, interrupt)
        if interrupt.number:
            raise Stopped(interrupt.number, "stopped before the first step; nothing was written")
        folder.begin(path, job, scores, note or {})
        print(summary(job, path, scores), flush=True)
        try:
            train(job, path, interrupt)
        except UserError:
            folder.discard_unsaved(path)
            raise
    return path


def resume(path: Path) -> Path:
    """Go on from the folder's last checkpoint, to the same weights as a run that was never stopped."""
    with Interrupt() as interrupt:
        train(build(folder.reopen(path)), path, interrupt)
    return path


def train(job: Job, path: Path, interrupt: Interrupt) -> None:
    run = job.run
    total = run.optim.epochs * len(job.loader)
    with folder.claimed(path), Log(path, steps=total, tensorboard=run.tensorboard) as log:
        t = Training(job, path, log, interrupt)
        t.start()
        while t.progress.epoch < run.optim.epochs:
            for images, targets, waited in timed(job.loader.epoch(t.progress.epoch, t.progress.position)):
                begun = perf_counter()
                rate = optim.factor(run.optim, t.progress.step, total)
                record = t.step(images, targets, rate)
                log.step(record, seconds=perf_counter() - begun + waited, waited=waited)
                if t.progress.step % run.checkpoint_every == 0:
                    t.save()
                t.stop_if_asked()
            if (t.progress.epoch + 1) % run.eval_every == 0 or t.progress.epoch + 1 == run.optim.epochs:
                t.evaluate()
            t.progress.next_epoch()
            t.save()


class Training:
    """A job with its optimiser and its place in time."""

    def __init__(self, job: Job, path: Path, log: Log, interrupt: Interrupt):
        self.job, self.path, self.log, self.interrupt = job, path, log, interrupt
        self.optimizer = optim.optimizer(job.distiller, job.run.optim)
        self.scaler = torch.amp.GradScaler(job.device.type, enabled=job.run.amp == "fp16")
        self.progress = state.read(path, job.distiller, self.optimizer)
        if self.progress.scaler:
            self.scaler.load_state_dict(self.progress.scaler)

    def start(self) -> None:
        self.log.go_on(self.progress.lengths, self.progress.step)
        teacher = folder.card(self.path)["teacher"]
        if teacher and not self.progress.lengths:
            self.log.scores("teacher", teacher["scores"], step=0, epoch=0)

    def step(self, images: Images, targets: Targets, rate: float) -> dict:
        """One update; its record, fetched from the device in one copy."""
        run, device, distiller = self.job.run, self.job.device, self.job.distiller
        torch.manual_seed(seed_of(run.seed, self.progress.step))
        optim.set_rate(self.optimizer, rate)
        distiller.train()
        with torch.autocast(device.type, AMP[run.amp], enabled=run.amp != "off"), naming(images):
            trace = distiller(images.to(device), targets.to(device))
        self.scaler.scale(trace.total).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(distiller.parameters(), run.optim.clip)
        record = numbers(trace, norm, distiller.weights)
        if self.scaler.is_enabled() and not math.isfinite(record["grad_norm"]):
            record["grad_norm"] = None
        refuse_infinite(record, images)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        where = self.progress.next_step()
        return where | {"lr": run.optim.lr * rate} | record

    def evaluate(self) -> None:
        """Interrupted, it saves before the evaluation, which `resume` then does."""
        begun, epoch = perf_counter(), self.progress.epoch + 1
        scores = measure(self.job, self.job.distiller.student, self.interrupt)
        if scores is None:
            self.stop_if_asked()
        self.log.scores("student", scores, step=self.progress.step, epoch=epoch, seconds=perf_counter() - begun)
        if self.progress.improved(scores["ap"] or 0.0):
            folder.save_best(self.path, self.job, scores, epoch)
            self.log.witness(witness(self.job), step=self.progress.step, epoch=epoch)

    def save(self) -> None:
        self.progress.lengths, self.progress.scaler = self.log.lengths(), self.scaler.state_dict()
        state.write(self.path, self.progress, self.job.distiller, self.optimizer)

    def stop_if_asked(self) -> None:
        if number := self.interrupt.number:
            self.save()
            saved = f"stopped and saved after step {self.progress.step}"
            raise Stopped(number, f"{saved}; go on with: python -m train resume {self.path}")


def timed(batches: Iterator[tuple[Images, Targets]]) -> Iterator[tuple[Images, Targets, float]]:
    """Each batch with the seconds spent waiting for it."""
    begun = perf_counter()
    for images, targets in batches:
        yield images, targets, perf_counter() - begun
        begun = perf_counter()


def measure(job: Job, detector: nn.Module, interrupt: Interrupt) -> dict | None:
    run = job.run
    return score(detector, job.val, run.data.augment, batch=run.optim.batch, workers=run.workers, interrupt=interrupt)


@torch.no_grad()
def witness(job: Job) -> dict:
    """What the step finds for the first image to be measured on, in eval mode: whoever replays it can compare."""
    images, targets = next(evaluation(job.val, job.run.data.augment, batch=1))
    total = job.distiller.eval()(images.to(job.device), targets.to(job.device)).total
    return {"image": int(images.ids[0]), "total": float(total)}


def seed_of(seed: int, step: int) -> int:
    """Of what the step draws at random, so that a resumed run draws the same."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1)[0])


def numbers(trace: DistillTrace, norm: torch.Tensor, weights: dict[str, dict[str, float]]) -> dict:
    """Total, gradient norm and every term, unweighted and weighted."""
    parts = trace.parts()
    fetched = torch.stack([trace.total.detach().float(), norm.float(), *(p.float() for p in parts.values())]).tolist()
    terms = dict(zip(parts, fetched[2:]))
    scale = {f"{loss}/{key}": w for loss, maps in weights.items() for key, w in maps.items()}
    weighted = {name: scale[name] * value for name, value in terms.items()}
    return {"total": fetched[0], "grad_norm": fetched[1], "terms": terms, "weighted": weighted}


def refuse_infinite(record: dict, images: Images) -> None:
    """A gradient norm of None is fp16's: its scaler skips such a step, and scales less."""
    values = record["terms"] | {name: record[name] for name in ("total", "grad_norm") if record[name] is not None}
    if bad := [name for name, value in values.items() if not math.isfinite(value)]:
        raise NotFinite(sentence(f"{', '.join(bad)} is not finite", images))


@contextmanager
def naming(images: Images) -> Iterator[None]:
    """Tell of a cost that is not finite with the ids of the images."""
    try:
        yield
    except FloatingPointError as error:
        raise NotFinite(sentence(str(error), images)) from None


def sentence(what: str, images: Images) -> str:
    return f"{what}, at images {images.ids.tolist()}; try a lower --optim.lr, or look at these images and their boxes"
