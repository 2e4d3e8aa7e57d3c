"""The forward pass of a training step, as DistributedDataParallel (DDP) wraps it."""

import warnings
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from core.distiller import Decoded, Distiller
from core.types import DistillTrace, Images, Targets

Maps = dict[str, Tensor]  # the map of each term, under loss/map
MapsOrError = Maps | FloatingPointError  # the error is raised if a matching cost is not finite


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
        self, images: Images, targets: Targets, decoded_teacher: Decoded | None = None
    ) -> tuple[Tensor, Callable[[], DistillTrace | FloatingPointError]]:
        try:
            trace = self.distiller(images, targets, decoded_teacher=decoded_teacher)
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
