"""A batch on its way from the process that reads it: in one piece of memory, for each piece is a connection of its own."""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import pad

from core.types import Images, Targets

ALIGNED = 8  # bytes: a tensor begins where its largest numbers may


@dataclass(frozen=True)
class PackedBatch:
    """All tensors of a batch, one after another."""

    memory: UInt8[Tensor, " bytes"]
    places: dict[str, tuple[torch.dtype, torch.Size]]  # in the order of the memory
    counts: tuple[int, ...]

    def pin_memory(self) -> "PackedBatch":
        return replace(self, memory=self.memory.pin_memory())


def pack(images: Images, targets: Targets) -> PackedBatch:
    """Of a batch as it is collated: no part of a step yet."""
    tensors = vars(images) | {name: getattr(targets, name) for name in ("boxes", "labels", "image")}
    places = {name: (x.dtype, x.shape) for name, x in tensors.items()}
    return PackedBatch(torch.cat([raw(x) for x in tensors.values()]), places, targets.counts)


def unpack(parcel: PackedBatch) -> tuple[Images, Targets]:
    """Views of the parcel's memory."""
    places = parcel.places.items()
    pieces = parcel.memory.split(
        [-(-dtype.itemsize * shape.numel() // ALIGNED) * ALIGNED for _, (dtype, shape) in places]
    )
    found = {
        name: piece.view(dtype)[: shape.numel()].view(shape) for piece, (name, (dtype, shape)) in zip(pieces, places)
    }
    images = Images(*(found.pop(field.name) for field in fields(Images)))
    return images, Targets(**found, counts=parcel.counts)


def raw(x: Tensor) -> UInt8[Tensor, " bytes"]:
    """Its bytes, and zeros up to where the next may begin."""
    flat = x.reshape(-1).view(torch.uint8)
    return pad(flat, (0, -len(flat) % ALIGNED))
