"""Computes a training step: what the teacher answers, and the forward pass as DistributedDataParallel (DDP) wraps it."""

import warnings
from collections.abc import Callable, Mapping

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from core.detectors.base import Detector
from core.distiller import Distiller, in_float32, run_teacher
from core.types import Decoded, DistillTrace, Images, Targets
from train.job.build import Job
from train.job.stored_teacher import open_store

AMP = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}
Maps = dict[str, Tensor]  # the map of each term, under loss/map
MapsOrError = Maps | FloatingPointError  # the error is raised if a matching cost is not finite


def autocast(job: Job) -> torch.autocast:
    """Mixed precision, if the run asks for it."""
    amp = job.run.amp
    return torch.autocast(job.device.type, AMP[amp], enabled=amp != "off")


class TeacherAnswers:
    """Gives what a run's teacher computes for each batch: from the run's store, or by the teacher itself.

    UserError: the store does not fit the run.
    """

    def __init__(self, job: Job):
        self.job, self.store = job, open_store(job)

    def ask(
        self, images: Images, targets: Targets, factors: Mapping[str, float] | None = None
    ) -> tuple[Targets, Decoded | None]:
        """The targets with the objects of images without labels, and what the teacher computed, if it had to be asked.

        A live teacher is asked in the step itself, unless its predictions are the objects of images without labels.
        `factors` are those of the losses in the step; None: all losses are computed.
        """
        teacher, device = self.job.distiller.teacher, self.job.device
        if teacher is None or not (targets.pending or self.store):
            return targets, None
        with torch.no_grad(), autocast(self.job):
            decoded = self.stored(teacher, images, factors) if self.store else run_teacher(teacher, images.to(device))
        with in_float32(device.type):
            return self.job.distiller.with_objects(targets.to(device), decoded), decoded

    def stored(self, teacher: Detector, images: Images, factors: Mapping[str, float] | None) -> Decoded:
        """Reads what the store holds of the images, with the live teacher's memory if a loss of this step reads it."""
        assert self.store
        device, losses = self.job.device, self.job.distiller.computed_losses(factors)
        reads_memory = any("memory" in loss.reads for loss in losses.values())
        memory = teacher.encode(images.to(device)) if reads_memory else None
        with in_float32(device.type):  # autocast to bf16 cannot stack the float16 numbers of a store
            return self.store.store.decoded(images, device, memory)


class TrainingPass(nn.Module):
    """Computes the total loss of a batch, and a function that returns the trace.

    The trace is behind a function, since DDP would treat every tensor in it as an output. If a matching cost is not finite,
    the total is NaN with a gradient for each weight, and the function returns the error: so no process waits for the
    gradients of this one, and all processes see the NaN.
    """

    def __init__(self, distiller: Distiller):
        super().__init__()
        self.distiller = distiller

    def forward(
        self,
        images: Images,
        targets: Targets,
        decoded_teacher: Decoded | None = None,
        factors: Mapping[str, float] | None = None,
    ) -> tuple[Tensor, Callable[[], DistillTrace | FloatingPointError]]:
        try:
            trace = self.distiller(images, targets, decoded_teacher=decoded_teacher, factors=factors)
        except FloatingPointError as error:
            not_finite, sums = error, [p.sum() for p in self.parameters() if p.requires_grad]
            return torch.stack(sums).sum() * torch.nan, lambda: not_finite
        return trace.total, lambda: trace


def detached_maps(result: DistillTrace | FloatingPointError) -> MapsOrError:
    """The maps of a trace without their graph, which is all that is kept after a pass; an error is returned as it is."""
    if isinstance(result, FloatingPointError):
        return result
    return {f"{loss}/{key}": x.detach() for loss, o in result.outcomes.items() for key, x in o.maps.items()}


def wrap_for_training(distiller: Distiller) -> nn.Module:
    """A TrainingPass whose gradients are averaged over processes, if there are several."""
    step = TrainingPass(distiller)
    if not dist.is_initialized():
        return step
    # find_unused_parameters: a batch without objects, or a stage of the backbone that no level uses, leaves weights without a
    # gradient. broadcast_buffers: no buffer changes in training.
    with warnings.catch_warnings():
        # The replacement of `broadcast_buffers` is missing in older versions of torch.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        return DistributedDataParallel(
            step, broadcast_buffers=False, find_unused_parameters=True, gradient_as_bucket_view=True
        )
