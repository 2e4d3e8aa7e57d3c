"""Asks the teacher about a batch before the training step, if the step needs its answers before it begins."""

import torch

from core.distiller import Decoded, in_float32, run_teacher
from core.types import Images, Targets
from train.job.build import Job
from train.job.stored_teacher import open_store, reads_memory

AMP = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(job: Job) -> torch.autocast:
    """Mixed precision, if the run asks for it."""
    amp = job.run.amp
    return torch.autocast(job.device.type, AMP[amp], enabled=amp != "off")


class TeacherAnswers:
    """Gives what a run's teacher computes for each batch: from the run's store, or by the teacher itself.

    UserError: the store does not fit the run.
    """

    def __init__(self, job: Job):
        self.job, self.store, self.reads_memory = job, open_store(job), reads_memory(job)

    def ask(self, images: Images, targets: Targets) -> tuple[Targets, Decoded | None]:
        """The targets with the objects of images without labels, and what the teacher computed, if it had to be asked.

        A live teacher is asked in the step itself, unless its predictions are the objects of images without labels.
        """
        teacher, device = self.job.distiller.teacher, self.job.device
        if teacher is None or not (targets.pending or self.store):
            return targets, None
        with torch.no_grad(), autocast(self.job):
            if self.store:
                memory = teacher.encode(images.to(device)) if self.reads_memory else None
                decoded = self.store.store.decoded(images, device, memory)
            else:
                decoded = run_teacher(teacher, images.to(device))
        with in_float32(device.type):
            return self.job.distiller.with_objects(targets.to(device), decoded), decoded
