"""One pass of a step, as DistributedDataParallel wraps it."""

import warnings
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from core.distiller import Distiller
from core.types import DistillTrace, Images, Targets

Maps = dict[str, Tensor]  # of each term, as loss/map
Found = Maps | FloatingPointError


class Step(nn.Module):
    """The total, and what was found.

    Of the trace DDP sees the total alone: it would take every tensor in it for an output. A cost that is not finite makes
    the total NaN, with a gradient for each weight: no process waits for this one, and all of them see it.
    """

    def __init__(self, distiller: Distiller):
        super().__init__()
        self.distiller = distiller

    def forward(
        self, images: Images, targets: Targets
    ) -> tuple[Tensor, Callable[[], DistillTrace | FloatingPointError]]:
        try:
            trace = self.distiller(images, targets)
        except FloatingPointError as error:
            wrong, every = error, [p.sum() for p in self.parameters() if p.requires_grad]
            return torch.stack(every).sum() * torch.nan, lambda: wrong
        return trace.total, lambda: trace


def maps(seen: DistillTrace | FloatingPointError) -> Found:
    """What is worth keeping of a pass once it is over."""
    if isinstance(seen, FloatingPointError):
        return seen
    return {f"{loss}/{key}": x.detach() for loss, o in seen.outcomes.items() for key, x in o.maps.items()}


def shared(distiller: Distiller) -> nn.Module:
    """With gradients averaged over processes, if there are several; the teacher has none, and no buffer changes."""
    step = Step(distiller)
    if not dist.is_initialized():
        return step
    # A batch without objects, or a stage of the backbone that no level needs, leaves weights without a gradient.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)  # its heir is too new
        return DistributedDataParallel(
            step, broadcast_buffers=False, find_unused_parameters=True, gradient_as_bucket_view=True
        )
