"""The training loop, and how it starts, stops and goes on. Under torchrun each process runs it, on its part of a step."""

import errno
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import nn

from core.data.loader import KILLED, WorkerDied, evaluation
from core.detectors.base import Detector
from core.errors import UserError
from core.types import DistillTrace, Images, Targets
from train.distributed import parallel
from train.engine.evaluate import score
from train.engine.gradient_checks import Watch
from train.engine.interrupt import Interrupt
from train.errors import Failed, NotFinite, Stopped
from train.job import optim
from train.job.build import Job, build, compiled
from train.job.ema import Mean
from train.job.step import Found, maps, shared
from train.job.summary import summary
from train.job.teacher_cache import CHECKED, cache_of
from train.run import Run
from train.run_folder import assignments, faults, folder, state
from train.run_folder.assignments import Recorder
from train.run_folder.log import Log

AMP = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}
SKIPS = 20  # steps in a row that may be left out
Passes = list[tuple[Images, Targets]]


def fit(run: Run, path: Path, *, note: dict | None = None) -> Path:
    """Train from the start into the new folder `path`, whose card also holds `note`; gives `path`.

    Raises Stopped after a signal, NotFinite, Failed where the machine is at fault, and parallel.Lost; what the user got
    wrong is a UserError, and leaves no folder.
    """
    first = parallel.ranks().first
    with Interrupt() as interrupt:
        with parallel.together():
            folder.refuse_taken(path)
            job = build(run)
        if first:
            print(summary(job, path), flush=True)
        taught = teacher(job, interrupt)
        if number := signalled(interrupt):
            raise Stopped(number, "stopped before the first step; nothing was written")
        with parallel.together(), sparing(path):
            if first:
                folder.begin(path, job, taught, note or {})
        try:
            train(job, path, interrupt)
        except UserError:
            if first:
                folder.discard_unsaved(path)
            raise
    return path


def resume(path: Path) -> Path:
    """Go on from the folder's last checkpoint, to the same weights as a run that was never stopped."""
    with Interrupt() as interrupt:
        with parallel.together():
            job = build(folder.reopen(path))
        train(job, path, interrupt)
    return path


def train(job: Job, path: Path, interrupt: Interrupt) -> None:
    run, first = job.run, parallel.ranks().first
    steps = len(job.loader)
    total = run.optim.epochs * steps
    with folder.claimed(path, first), sparing(path), Log(path, run, steps=total, first=first) as log:
        t = Training(job, path, log, interrupt)
        t.start()
        while t.progress.epoch < run.optim.epochs:
            job.distiller.train()  # an evaluation put the student into eval mode
            while t.progress.position < steps:
                begun = perf_counter()
                passes = t.next_passes()
                waited = perf_counter() - begun
                line = t.step(passes, optim.factor(run.optim, t.progress.step, total))
                log.step(line, seconds=perf_counter() - begun, waited=waited)
                if t.progress.step % run.checkpoint_every == 0:
                    t.save()
            if (t.progress.epoch + 1) % run.eval_every == 0 or t.progress.epoch + 1 == run.optim.epochs:
                t.evaluate()
            t.progress.next_epoch()
            t.save()


class Training:
    """A job with its optimiser and its place in time."""

    def __init__(self, job: Job, path: Path, log: Log, interrupt: Interrupt):
        self.job, self.path, self.log, self.interrupt, self.ranks = job, path, log, interrupt, parallel.ranks()
        self.optimizer = optim.optimizer(job.distiller, job.run.optim)
        self.scaler = torch.amp.GradScaler(job.device.type, enabled=job.run.amp == "fp16")
        self.mean = Mean(job.distiller, job.run.optim.ema) if job.run.optim.ema else None
        with parallel.together():
            self.progress = state.read(path, job.distiller, self.optimizer, self.mean)
        folder.refuse_unshared(path, self.progress.step)
        if self.progress.scaler:
            self.scaler.load_state_dict(self.progress.scaler)
        self.pass_ = shared(compiled(job).distiller)
        self.watch = Watch(job.distiller)
        with parallel.together():
            self.cache = cache_of(job)
        self.batches = job.loader.steps(self.progress.epoch, self.progress.position, until=job.run.optim.epochs)

    @property
    def kept(self):
        """The Distiller that is measured and kept."""
        return self.mean.distiller if self.mean else self.job.distiller

    def start(self) -> None:
        self.check_cache()
        self.log.go_on(self.progress.lengths, self.progress.step)
        if not self.ranks.first:
            return
        assignments.cut(self.path, self.progress.epoch)
        taught = folder.card(self.path)["teacher"]
        if taught and not self.progress.lengths:
            self.log.scores("teacher", taught["scores"], step=0, epoch=0)
            if taught["instability"]:
                self.log.note({"instability": "teacher", "step": 0, "epoch": 0} | taught["instability"])

    def check_cache(self) -> None:
        """UserError, for all processes alike: what is cached is not what the teacher says."""
        if not self.cache:
            return
        run, device = self.job.run, self.job.device
        first = islice(self.job.loader.epoch(0), -(-CHECKED // self.job.loader.each))
        with parallel.together(), torch.autocast(device.type, AMP[run.amp], enabled=run.amp != "off"):
            self.log.say(self.cache.check((images for images, _ in first), device))

    def next_passes(self) -> Passes:
        """This process's part of the next step; each pass knows the objects of all images of the step.

        Raises UserError, Failed or Stopped, for all processes alike, after a save.
        """
        passes, wrong, died = [], "", False
        try:
            passes = next(self.batches) if not self.interrupt.number else []
        except UserError as error:
            wrong = str(error)
        except WorkerDied as error:
            wrong, died = str(error), True
        counts = [n for _, targets in passes for n in targets.counts]
        room = [-1] * (self.job.loader.room - len(counts))
        heard = parallel.gathered([self.interrupt.number or 0, bool(wrong), died, *counts, *room])
        if any(faulty for _, faulty, *_ in heard):
            if self.progress.step:
                self.save()
            kind = Failed if any(died for _, _, died, *_ in heard) else UserError
            raise kind(parallel.first_word(wrong) + (f"; {self.saved()}" if self.progress.step else ""))
        if number := max(number for number, *_ in heard):
            self.stop(number)
        objects = torch.tensor([n for _, _, _, *counts in heard for n in counts])
        return [(images, targets.within(objects, self.ranks.size)) for images, targets in passes]

    def step(self, passes: Passes, rate: float) -> dict:
        """One update; its record, fetched from the device in one copy."""
        distiller, optimizer = self.job.distiller, self.optimizer
        optim.set_rate(optimizer, rate)
        found = [self.one_pass(*parts, k, last=k + 1 == len(passes)) for k, parts in enumerate(passes)]
        self.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(distiller.parameters(), self.job.run.optim.clip)
        line = numbers(found, norm, distiller)
        if self.scaler.is_enabled() and not math.isfinite(line["grad_norm"]):
            line["grad_norm"] = None
        if wrong := faults.wrong(line):
            line = self.go_wrong(wrong, passes, found, line)
        else:
            self.scaler.step(optimizer)
            if self.mean:
                self.mean.update()
        self.scaler.update()
        optimizer.zero_grad()
        self.progress.skipped = self.progress.skipped + 1 if wrong else 0
        return self.progress.next_step() | {"lr": self.job.run.optim.lr * rate} | line

    def one_pass(self, images: Images, targets: Targets, k: int, *, last: bool) -> Found:
        """Forward and backward of a part of the step. What it found is small: memory is for one pass."""
        run, device, objects = self.job.run, self.job.device, bool((targets.step > 0).any())
        reseed(device, seed_of(run.seed, self.progress.step, self.ranks.rank, k))
        with nullcontext() if last or self.ranks.size == 1 else self.pass_.no_sync():
            if self.cache:
                self.cache.expect(images)
            with torch.autocast(device.type, AMP[run.amp], enabled=run.amp != "off"):
                total, seen = self.pass_(images.to(device), targets.to(device))
            if last:
                self.look(seen(), objects)
            self.scaler.scale(total).backward()
        return maps(seen())

    def look(self, seen: DistillTrace | FloatingPointError, objects: bool) -> None:
        """At first, whether each term does anything; every so many steps, what the losses pull at."""
        trace, every = seen if isinstance(seen, DistillTrace) else None, self.job.run.gradients_every
        if self.watch.idle:
            self.watch.refuse_idle(trace, objects=objects, scale=self.scaler.get_scale())
        if trace and every and self.progress.step % every == 0 and self.ranks.first:
            pulls = self.watch.pulls(trace, self.scaler.get_scale())
            where = {"step": self.progress.step + 1, "epoch": self.progress.epoch + 1}
            self.log.note({"gradients": faults.finite(pulls), **where})

    def go_wrong(self, wrong: list[str], passes: Passes, found: list[Found], line: dict) -> dict:
        """A report from each process that has seen it; then the record of a step that is left out, or NotFinite."""
        where = {"step": self.progress.step + 1, "epoch": self.progress.epoch + 1, "process": self.ranks.rank}
        stem = self.path / "faults" / f"step-{where['step']}-{self.ranks.rank}"
        seen, told = faults.seen(found), ""
        if seen or self.ranks.first:
            told = faults.report(stem, where, passes, found, wrong, self.job.distiller)
        told = parallel.first_word(told if seen else "") or parallel.first_word(told)
        if self.job.run.on_nan == "stop" or self.progress.skipped >= SKIPS:
            raise NotFinite(told)
        self.log.say(f"left out: {told}")
        return faults.finite(line) | {"skipped": wrong[0]}

    def evaluate(self) -> None:
        """Interrupted, it saves before the evaluation, which `resume` then does."""
        begun, epoch, step = perf_counter(), self.progress.epoch + 1, self.progress.step
        recorder = recorder_of(self.job, self.kept.student)
        scores = measure(self.job, self.kept.student, self.interrupt, recorder)
        if scores is None:
            self.stop(signalled(self.interrupt))
        columns = recorder.columns()
        if not self.ranks.first:
            return
        self.log.scores("student", scores, step=step, epoch=epoch, seconds=perf_counter() - begun)
        if recorder.images:
            found = recorder.instability(columns, assignments.before(self.path, epoch))
            assignments.append(self.path, "student", epoch, columns)
            self.log.note({"instability": "student", "step": step, "epoch": epoch} | found)
        if self.progress.improved(scores["ap"] or 0.0):
            folder.save_best(self.path, self.job, self.kept, scores, epoch)
            self.log.note(witness(self.job, self.kept) | {"step": step, "epoch": epoch})

    def save(self) -> None:
        self.progress.lengths, self.progress.scaler = self.log.lengths(), self.scaler.state_dict()
        if self.ranks.first:
            run = self.job.run
            state.write(self.path, self.progress, self.job.distiller, self.optimizer, self.mean, keep=run.keep)

    def stop(self, number: int) -> None:
        self.save()
        raise Stopped(number, f"stopped and {self.saved()}")

    def saved(self) -> str:
        return f"saved after step {self.progress.step}; go on with: python -m train resume {self.path}"


def teacher(job: Job, interrupt: Interrupt) -> dict | None:
    """The scores of the teacher, its instability, and who answered for what."""
    if job.distiller.teacher is None:
        return None
    recorder = recorder_of(job, job.distiller.teacher)
    scores = measure(job, job.distiller.teacher, interrupt, recorder)
    if scores is None:
        return None
    columns = recorder.columns()
    found = recorder.instability(columns, None) if recorder.images else None
    return {"scores": scores, "instability": found, "columns": columns}


def signalled(interrupt: Interrupt) -> int:
    """The signal that any process has had; 0 for none."""
    return max(n for (n,) in parallel.gathered([interrupt.number or 0]))


def recorder_of(job: Job, detector: Detector) -> Recorder:
    return Recorder(min(job.run.recorded, len(job.val)), detector.matching)


def measure(job: Job, detector: Detector, interrupt: Interrupt, recorder: Recorder) -> dict | None:
    run = job.run
    given = {"batch": job.loader.each, "workers": run.workers, "interrupt": interrupt, "see": recorder.see}
    return score(detector, job.val, run.data.augment, **given)


@torch.no_grad()
def witness(job: Job, distiller: nn.Module) -> dict:
    """What the step finds for the first image to be measured on, in eval mode: whoever replays it can compare."""
    images, targets = next(evaluation(job.val, job.run.data.augment, batch=1))
    total = distiller.eval()(images.to(job.device), targets.to(job.device)).total
    return {"witness": int(images.ids[0]), "total": float(total)}


def seed_of(*place: int) -> int:
    """Of what a pass draws at random, so that a resumed run draws the same: (seed, step, process, pass)."""
    return int(np.random.SeedSequence(place).generate_state(1)[0])


def reseed(device: torch.device, seed: int) -> None:
    """As torch.manual_seed, for one device: that one also notes the stack for every kind of device there is, at 1 ms a call."""
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def numbers(found: list[Found], norm: torch.Tensor, distiller: nn.Module) -> dict:
    """Of the whole step: total, gradient norm and every term, unweighted and weighted; all in one copy."""
    parts = [faults.no_numbers(distiller) if isinstance(x, FloatingPointError) else x for x in found]
    sums = {name: torch.stack([p[name].sum().float() for p in parts]).sum() for name in parts[0]}
    scale = {f"{loss}/{key}": w for loss, maps in distiller.weights.items() for key, w in maps.items()}
    fetched = torch.cat([parallel.mean(torch.stack(list(sums.values()))), norm.float()[None]]).tolist()
    terms = dict(zip(sums, fetched))
    weighted = {name: scale[name] * value for name, value in terms.items()}
    return {"total": sum(weighted.values()), "grad_norm": fetched[-1], "terms": terms, "weighted": weighted}


@contextmanager
def sparing(path: Path) -> Iterator[None]:
    """A full disk, or a worker killed in the middle of a step, in one sentence: what was saved before stays whole."""
    way = f"go on with: python -m train resume {path}"
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Failed(f"no space left for {path}; make room and {way}") from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise Failed(f"{KILLED}; {way}") from error
