"""Checksums of tensors, by which a file that has changed on the disk is noticed.

A checksum is the sum of a tensor's bytes, taken as whole numbers of 64 bits, modulo 2^64: every change of one bit changes it, and
it is computed as fast as memory is read.
"""

import json
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from core.errors import UserError

KEY = "sums"  # of the object in the header of a safetensors file


def checksum(x: Tensor) -> int:
    """The checksum of a tensor on the CPU."""
    data = x.detach().contiguous().flatten().view(torch.uint8).numpy()
    words = len(data) // 8 * 8
    return int(data[:words].view(np.int64).sum(dtype=np.int64)) + int(data[words:].sum(dtype=np.int64))


def with_checksums(entries: dict, tensors: Mapping[str, Tensor]) -> str:
    """The object of a file's header as JSON, with the checksum of each tensor.

    It is one entry of the header, since safetensors writes several in any order, and equal files are to be equal bytes.
    """
    return json.dumps(entries | {KEY: {name: checksum(x) for name, x in tensors.items()}})


def refuse_changed(tensors: Mapping[str, Tensor], entries: dict, path: object) -> dict:
    """Takes the checksums out of the object of a header, and returns the rest. Older files have no checksums.

    UserError, which names the file and the tensor: it differs from what was written. ValueError: the checksums are none.
    """
    sums = entries.get(KEY)
    if KEY in entries and (not isinstance(sums, dict) or sums.keys() != tensors.keys()):
        raise ValueError("the checksums in its header are not those of its tensors")
    for name, expected in (sums or {}).items():
        if checksum(tensors[name]) != expected:
            raise UserError(f"{path} is damaged: {name} is not what was written; take the file from a backup")
    return {key: value for key, value in entries.items() if key != KEY}
