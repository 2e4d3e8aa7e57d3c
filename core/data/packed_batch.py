"""A batch packed into one tensor, to be sent from a worker process to the training process.

torch opens a connection for the shared memory of every tensor that it sends to another process. A packed batch needs only one.
"""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import pad

from core.types import Images, Targets, Withheld

ALIGNMENT = 8  # bytes: each tensor starts at a multiple, as int64 and float64 need it


@dataclass(frozen=True)
class PackedBatch:
    """All tensors of a batch in one buffer, one after another."""

    buffer: UInt8[Tensor, " bytes"]
    layout: dict[str, tuple[torch.dtype, torch.Size]]  # of each tensor, in the order of the buffer
    counts: tuple[int, ...]  # objects of each image
    unlabelled: tuple[bool, ...] = ()  # these and the following are as in Targets
    pending: bool = False
    known: tuple[bool, ...] = ()  # the images whose true objects are withheld

    def pin_memory(self) -> "PackedBatch":
        """The batch in page-locked memory. torch's DataLoader calls this if it was made with pin_memory."""
        return replace(self, buffer=self.buffer.pin_memory())


def pack(images: Images, targets: Targets) -> PackedBatch:
    """Packs a collated batch, whose targets don't yet say of which step they are a part."""
    parts = vars(images) | {name: getattr(targets, name) for name in ("boxes", "labels", "image", "weights")}
    withheld = targets.withheld
    if withheld is not None:
        parts |= {f"withheld_{name}": getattr(withheld, name) for name in ("boxes", "labels", "image")}
    tensors = {name: x for name, x in parts.items() if x is not None}
    layout = {name: (x.dtype, x.shape) for name, x in tensors.items()}
    return PackedBatch(
        torch.cat([padded_bytes(x) for x in tensors.values()]),
        layout,
        targets.counts,
        targets.unlabelled,
        targets.pending,
        withheld.known if withheld is not None else (),
    )


def unpack(packed: PackedBatch) -> tuple[Images, Targets]:
    """The batch, as views of the buffer: nothing is copied."""
    layout = packed.layout.items()
    lengths = [-(-dtype.itemsize * shape.numel() // ALIGNMENT) * ALIGNMENT for _, (dtype, shape) in layout]
    pieces = packed.buffer.split(lengths)
    tensors = {
        name: piece.view(dtype)[: shape.numel()].view(shape) for piece, (name, (dtype, shape)) in zip(pieces, layout)
    }
    images = Images(*(tensors.pop(field.name, None) for field in fields(Images)))
    true = [tensors.pop(f"withheld_{name}") for name in ("boxes", "labels", "image") if packed.known]
    return images, Targets(
        **tensors,
        counts=packed.counts,
        unlabelled=packed.unlabelled,
        pending=packed.pending,
        withheld=Withheld(true[0], true[1], true[2], packed.known) if packed.known else None,
    )


def padded_bytes(x: Tensor) -> UInt8[Tensor, " bytes"]:
    """The bytes of a tensor, and zeros up to a multiple of ALIGNMENT."""
    flat = x.reshape(-1).view(torch.uint8)
    return pad(flat, (0, -len(flat) % ALIGNMENT))
