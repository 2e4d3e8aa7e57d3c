"""The training loop: how a run starts, trains, evaluates, stops and resumes.

`train` is the loop, and `Training` holds its state. Under torchrun every process runs the same code on its part of each
step; before they act on an error or a signal, all processes agree on it.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import NoReturn

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from core.data.loader import WorkerDied, evaluation
from core.detectors.base import Detector
from core.distiller import Distiller
from core.errors import UserError
from core.metrics.coco_ap import note_on_ap
from core.runs.diagnose.history import UNTRAINED_AP
from core.terminal import printable
from core.types import Decoded, DistillTrace, Images, Targets
from train.distributed import parallel
from train.distributed.evaluate import score
from train.engine.ahead import CopiedAhead, Passes
from train.engine.failures import explain_failures
from train.engine.gradient_checks import GradientChecks
from train.engine.interrupt import Interrupt
from train.engine.records import Factors, pseudo_record, step_record
from train.errors import Failed, NotFinite, Stopped
from train.job import optim
from train.job.build import Job, build, compile_detectors
from train.job.ema import WeightAverage
from train.job.step import MapsOrError, TeacherAnswers, autocast, detached_maps, wrap_for_training
from train.job.summary import summary
from train.run import Run
from train.run_folder import assignments, faults, folder, state
from train.run_folder.assignments import AssignmentRecorder
from train.run_folder.log import Log

MAX_SKIPPED = 20  # steps in a row that may be skipped
Answers = list[Decoded | None]  # what the teacher computed for each pass; None: it has not been asked yet


def fit(run: Run, path: Path, *, note: dict | None = None, force: bool = True) -> Path:
    """Trains a run from the start in the new folder `path`, whose card also holds `note`; returns `path`.

    Without `force` a teacher that is not trained, or no better than a student that starts trained, is refused (UserError).
    Raises Stopped after a signal, NotFinite, Failed where the machine is at fault, and Lost when another process is gone.
    A UserError before the first checkpoint leaves no folder behind.
    """
    first = parallel.ranks().first
    with Interrupt() as interrupt, explain_failures(path):
        with parallel.share_user_errors():
            folder.refuse_taken(path)
            job = build(run)
        if first:
            print(summary(job, path), flush=True)
        teacher_results = evaluate_teacher(job, interrupt)
        if number := signal_of_any_process(interrupt):
            raise Stopped(number, "stopped before the first step; nothing was written")
        if teacher_results and not force:
            refuse_weak_teacher(job, teacher_results["scores"], interrupt)
        with parallel.share_user_errors():
            if first:
                folder.create(path, job, teacher_results, note or {})
        try:
            train(job, path, interrupt)
        except UserError:
            if first:
                folder.discard_unsaved(path)
            raise
    return path


def resume(path: Path) -> Path:
    """Continues a run from its last checkpoint, to the same weights as if it had never been stopped."""
    with Interrupt() as interrupt, explain_failures(path):
        with parallel.share_user_errors():
            job = build(folder.load_run(path), folder.load_rule(path))
        train(job, path, interrupt)
    return path


def train(job: Job, path: Path, interrupt: Interrupt) -> None:
    """Trains to the last epoch, from the last checkpoint in `path` if there is one."""
    run, first = job.run, parallel.ranks().first
    steps_per_epoch = len(job.loader)
    total_steps = run.optim.epochs * steps_per_epoch
    with folder.lock(path, first), Log(path, run, steps=total_steps, first=first) as log:
        training = Training(job, path, log, interrupt)
        training.start()
        progress = training.progress
        while progress.epoch < run.optim.epochs:
            job.distiller.train()  # an evaluation leaves the student in eval mode
            while progress.position < steps_per_epoch:
                begun = perf_counter()
                passes = training.next_passes()
                waited = perf_counter() - begun
                factors = optim.loss_factors(job.distiller.named_losses, run.distil, progress.step, total_steps)
                rate = optim.rate_factor(run.optim, progress.step, total_steps)
                record = training.step(*training.with_objects(passes, factors), rate, factors)
                log.step(record, seconds=perf_counter() - begun, waited=waited)
                if progress.step % run.checkpoint_every == 0:
                    training.save()
            if (progress.epoch + 1) % run.eval_every == 0 or progress.epoch + 1 == run.optim.epochs:
                training.evaluate()
            progress.next_epoch()
            training.save()


class Training:
    """The state of a training: the job, its optimiser, and its place in the data (`progress`)."""

    def __init__(self, job: Job, path: Path, log: Log, interrupt: Interrupt):
        self.job, self.path, self.log, self.interrupt, self.ranks = job, path, log, interrupt, parallel.ranks()
        self.optimizer = optim.optimizer(job.distiller, job.run.optim)
        self.scaler = torch.amp.GradScaler(job.device.type, enabled=job.run.amp == "fp16")
        self.average = WeightAverage(job.distiller, job.run.optim.ema) if job.run.optim.ema else None
        with parallel.share_user_errors():
            self.progress = state.read(path, job.distiller, self.optimizer, self.average)
        folder.refuse_unshared(path, self.progress.step)
        if self.progress.scaler:
            self.scaler.load_state_dict(self.progress.scaler)
        self.training_pass = wrap_for_training(compile_detectors(job).distiller)
        self.checks = GradientChecks(job.distiller)
        with parallel.share_user_errors():
            self.answers = TeacherAnswers(job)
        steps = job.loader.steps(self.progress.epoch, self.progress.position, until=job.run.optim.epochs)
        self.batches = CopiedAhead(steps, job.device) if job.run.prefetch else steps

    @property
    def evaluated(self) -> Distiller:
        """The Distiller that is evaluated and kept: that of the averaged weights, if there is an average."""
        return self.average.distiller if self.average else self.job.distiller

    def start(self) -> None:
        """Completes the teacher store, cuts the logs back to the checkpoint, and logs the teacher's scores in a new run."""
        self.complete_store()
        self.log.continue_from(self.progress.lengths, self.progress.step)
        if not self.ranks.first:
            return
        for note in filter(None, (note_on_ap(), self.job.run.recorded and assignments.note_on_recording())):
            self.log.print(f"note: {note}")
        if note := assignments.drop_after(self.path, self.progress.epoch):
            self.log.print(f"note: {printable(note)}")
        teacher = folder.read_card(self.path)["teacher"]
        if teacher and not self.progress.lengths:
            self.log.scores("teacher", teacher["scores"], step=0, epoch=0)
            if teacher.get("instability"):
                self.log.write_event({"instability": "teacher", "step": 0, "epoch": 0} | teacher["instability"])

    def complete_store(self) -> None:
        """Asks the teacher for the images that its store lacks, and compares a few. UserError in all processes: they differ."""
        store = self.answers.store
        if not store:
            return
        if store.store.missing:
            self.log.print(f"teacher store: {store.size_text}")
        with parallel.share_user_errors():
            self.log.print(store.complete(self.job.loader.images_per_pass, self.job.run.workers))

    def next_passes(self) -> Passes:
        """This process's part of the next step.

        Raises UserError, Failed or Stopped in all processes alike, after saving a checkpoint.
        """
        passes: Passes = []
        message, worker_died = "", False
        try:
            passes = next(self.batches) if not self.interrupt.number else []
        except UserError as error:
            message = str(error)
        except WorkerDied as error:
            message, worker_died = str(error), True
        reports = parallel.gather_numbers([self.interrupt.number or 0, bool(message), worker_died])
        if any(failed for _, failed, _ in reports):
            if self.progress.step:
                self.save()
            kind = Failed if any(died for _, _, died in reports) else UserError
            raise kind(parallel.first_text(message) + (f"; {self.resume_hint()}" if self.progress.step else ""))
        if number := max(number for number, *_ in reports):
            self.stop(number)
        return passes

    def with_objects(self, passes: Passes, factors: Factors | None = None) -> tuple[Passes, Answers]:
        """The passes, each of which knows the object counts of all images of the step; and the teacher's answers.

        The teacher is asked before the step if images have no labels, since its answers are their objects. `factors` are those
        of the losses in the step; None: all losses are computed.
        """
        answered = [self.answers.ask(images, targets, factors) for images, targets in passes]
        counts = [n for targets, _ in answered for n in targets.counts]
        padding = [-1] * (self.job.loader.max_images - len(counts))  # every process must send as many numbers
        objects = torch.tensor([n for counts in parallel.gather_numbers([*counts, *padding]) for n in counts])
        complete = [
            (images, targets.within(objects, self.ranks.size)) for (images, _), (targets, _) in zip(passes, answered)
        ]
        return complete, [answer for _, answer in answered]

    def step(self, passes: Passes, answers: Answers, rate_factor: float, factors: Factors) -> dict:
        """Makes one update of the weights; returns its record for the log."""
        distiller, optimizer = self.job.distiller, self.optimizer
        optim.set_rate(optimizer, rate_factor)
        maps = [
            self.forward_backward(*batch, answer, factors, k, last=k + 1 == len(passes))
            for k, (batch, answer) in enumerate(zip(passes, answers))
        ]
        if isinstance(self.batches, CopiedAhead):
            self.batches.begin()  # before the step's record waits for the GPU
        self.scaler.unscale_(optimizer)
        norm = nn.utils.get_total_norm([p.grad for p in distiller.parameters() if p.grad is not None])
        record = step_record(maps, norm, distiller, factors) | pseudo_record(self.job, passes)
        if self.scaler.is_enabled() and not math.isfinite(record["grad_norm"]):
            record["grad_norm"] = None  # an overflow of fp16: the scaler skips this update and lowers its scale
        if nonfinite := faults.nonfinite_names(record):
            record = self.report_nonfinite(nonfinite, passes, maps, record)
        else:
            nn.utils.clip_grads_with_norm_(distiller.parameters(), self.job.run.optim.clip, norm)
            self.scaler.step(optimizer)
            if self.average:
                self.average.update()
        self.scaler.update()
        optimizer.zero_grad()
        self.progress.skipped = self.progress.skipped + 1 if nonfinite else 0
        return self.progress.next_step() | {"lr": self.job.run.optim.lr * rate_factor} | record

    def forward_backward(
        self, images: Images, targets: Targets, answer: Decoded | None, factors: Factors, index: int, *, last: bool
    ) -> MapsOrError:
        """One pass of a step. Returns only the detached maps, so that memory is needed for one pass at a time."""
        assert targets.step is not None  # next_passes sets it
        has_objects = bool((targets.step > 0).any())
        reseed(self.job.device, pass_seed(self.job.run.seed, self.progress.step, self.ranks.rank, index))
        with nullcontext() if last else self.local_gradients():
            with autocast(self.job):
                batch = images.to(self.job.device), targets.to(self.job.device)
                total, get_trace = self.training_pass(*batch, answer, factors)
            if last:
                self.check_gradients(get_trace(), has_objects, factors)
            self.scaler.scale(total).backward()
        return detached_maps(get_trace())

    def local_gradients(self) -> AbstractContextManager:
        """While open, gradients add up in each process: they are averaged over processes once, in the last pass."""
        ddp = self.training_pass
        return ddp.no_sync() if isinstance(ddp, DistributedDataParallel) else nullcontext()

    def check_gradients(self, result: DistillTrace | FloatingPointError, has_objects: bool, factors: Factors) -> None:
        """Checks that every term has once had a gradient; logs each loss's gradient every `gradients_every` steps."""
        every = self.job.run.gradients_every
        trace = result if isinstance(result, DistillTrace) else None
        if self.checks.inactive:
            self.checks.refuse_inactive(trace, objects=has_objects, scale=self.scaler.get_scale(), factors=factors)
        if trace and every and self.progress.step % every == 0 and self.ranks.first:
            norms = self.checks.loss_norms(trace, self.scaler.get_scale(), factors)
            where = {"step": self.progress.step + 1, "epoch": self.progress.epoch + 1}
            self.log.write_event({"gradients": faults.nonfinite_to_none(norms), **where})

    def report_nonfinite(self, names: list[str], passes: Passes, maps: list[MapsOrError], record: dict) -> dict:
        """Writes a fault report in each process that has the fault, and in the first.

        Returns the record of a step that is skipped, or raises NotFinite with the sentence of a process that has the fault.
        """
        where = {"step": self.progress.step + 1, "epoch": self.progress.epoch + 1, "process": self.ranks.rank}
        stem = self.path / "faults" / f"step-{where['step']}-{self.ranks.rank}"
        has_fault, message = faults.has_fault(maps), ""
        if has_fault or self.ranks.first:
            message = faults.write_report(stem, where, passes, maps, names, self.job.distiller)
        message = parallel.first_text(message if has_fault else "") or parallel.first_text(message)
        if self.job.run.on_nan == "stop" or self.progress.skipped >= MAX_SKIPPED:
            raise NotFinite(message)
        self.log.print(f"skipped: {message}")
        return faults.nonfinite_to_none(record) | {"skipped": names[0]}

    def evaluate(self) -> None:
        """Evaluates the student, logs its scores and assignments, and keeps it if it is the best so far.

        A signal saves the state before the evaluation and stops; `resume` then evaluates again.
        """
        begun, epoch, step = perf_counter(), self.progress.epoch + 1, self.progress.step
        recorder = assignment_recorder(self.job, self.evaluated.student)
        scores = validate(self.job, self.evaluated.student, self.interrupt, recorder)
        if scores is None:
            self.stop(signal_of_any_process(self.interrupt))
        columns = recorder.gather_columns()
        if not self.ranks.first:
            return
        if note_on_ap():
            self.progress.best = None  # without AP the last student is kept
        self.log.scores("student", scores, step=step, epoch=epoch, seconds=perf_counter() - begun)
        if recorder.images:
            instability = recorder.instability(columns, assignments.rows_before(self.path, epoch))
            assignments.append(self.path, "student", epoch, columns)
            self.log.write_event({"instability": "student", "step": step, "epoch": epoch} | instability)
        if self.progress.update_best(scores["ap"] or 0.0):
            folder.save_best(self.path, self.job, self.evaluated, scores, epoch)
            self.log.write_event(first_image_total(self.job, self.evaluated) | {"step": step, "epoch": epoch})

    def save(self) -> None:
        """Writes a checkpoint, in the first process."""
        self.progress.lengths, self.progress.scaler = self.log.lengths(), self.scaler.state_dict()
        if self.ranks.first:
            keep = self.job.run.keep
            state.write(self.path, self.progress, self.job.distiller, self.optimizer, self.average, keep=keep)

    def stop(self, number: int) -> NoReturn:
        """Saves, and raises Stopped with the number of the signal."""
        self.save()
        raise Stopped(number, f"stopped and {self.resume_hint()}")

    def resume_hint(self) -> str:
        """Up to which step the run is saved, and the command that continues it."""
        return f"saved after step {self.progress.step}; go on with: python -m train resume {self.path}"


def evaluate_teacher(job: Job, interrupt: Interrupt) -> dict | None:
    """The teacher's scores, its instability, and the columns of its assignments; None without a teacher or on a signal."""
    if job.distiller.teacher is None:
        return None
    recorder = assignment_recorder(job, job.distiller.teacher)
    scores = validate(job, job.distiller.teacher, interrupt, recorder)
    if scores is None:
        return None
    columns = recorder.gather_columns()
    instability = recorder.instability(columns, None) if recorder.images else None
    return {"scores": scores, "instability": instability, "columns": columns}


def refuse_weak_teacher(job: Job, scores: dict, interrupt: Interrupt) -> None:
    """UserError: the teacher's AP is near 0, or below that with which its student starts. Only the first process has scores."""
    student = job.distiller.student
    recorder = assignment_recorder(job, student)
    own = (validate(job, student, interrupt, recorder) or {}).get("ap") if job.start else None
    ap = scores.get("ap")
    with parallel.share_user_errors():
        if ap is not None and ap < UNTRAINED_AP:
            raise UserError(
                f"the teacher has AP {100 * ap:.1f}: it is not trained; give another --teacher, or add --force"
            )
        if ap is not None and own is not None and ap < own:
            raise UserError(
                f"the teacher has AP {100 * ap:.1f}, and its student starts with {100 * own:.1f}; train the student alone, or"
                " add --force"
            )


def assignment_recorder(job: Job, detector: Detector) -> AssignmentRecorder:
    """Records the detector's assignments on the first `recorded` validation images."""
    return AssignmentRecorder(min(job.run.recorded, len(job.val)), detector.matching)


def validate(job: Job, detector: Detector, interrupt: Interrupt, recorder: AssignmentRecorder) -> dict | None:
    """The detector's scores on the validation images, while `recorder` sees its predictions; None after a signal."""
    return score(
        detector,
        job.val,
        job.run.data.augment,
        batch=job.loader.images_per_pass,
        workers=job.run.workers,
        signal=lambda: interrupt.number,
        on_batch=recorder.record,
    )


def signal_of_any_process(interrupt: Interrupt) -> int:
    """The number of the signal that any process has received; 0 if none has."""
    return max(n for (n,) in parallel.gather_numbers([interrupt.number or 0]))


@torch.no_grad()
def first_image_total(job: Job, distiller: Distiller) -> dict:
    """The total loss of the first validation image in eval mode, under the keys of the log.

    A replay of the finished run compares its own total with it.
    """
    images, targets = next(evaluation(job.val, job.run.data.augment, batch=1))
    total = distiller.eval()(images.to(job.device), targets.to(job.device)).total
    return {"witness": int(images.ids[0]), "total": float(total)}


def pass_seed(*place: int) -> int:
    """The seed of one pass, from (seed, step, process, pass), so that a resumed run draws the same random numbers."""
    return int(np.random.SeedSequence(place).generate_state(1)[0])


def reseed(device: torch.device, seed: int) -> None:
    """Seeds the generators of the CPU and of one device.

    torch.manual_seed also records the call stack for every kind of device there is, which takes 1 ms.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
