"""Checksums of tensors, by which a file that has changed on the disk is noticed.

A checksum is the sum of a tensor's bytes, taken as whole numbers of 64 bits, modulo 2^64: every change of one bit changes it, and
it is computed as fast as memory is read. A file's are computed in a thread while its tensors are made.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor

from core.errors import UserError

KEY = "sums"  # of the object in the header of a safetensors file


def checksum(x: Tensor) -> int:
    """The checksum of a tensor on the CPU."""
    data = x.detach().contiguous().flatten().view(torch.uint8).numpy()
    return checksum_of(data, 0, len(data))


def checksum_of(data: Any, start: int, end: int) -> int:
    """The checksum of a tensor that lies in bytes from `start` to `end`."""
    words = (end - start) // 8
    total = int(np.frombuffer(data, np.int64, words, start).sum(dtype=np.int64)) if words else 0
    rest = end - start - 8 * words
    return total + (int(np.frombuffer(data, np.uint8, rest, end - rest).sum(dtype=np.int64)) if rest else 0)


def file_header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, given its bytes, and where the tensors begin. ValueError: there is none."""
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin]) if begin <= len(data) else None
    if not isinstance(header, dict):
        raise ValueError("it has no header")
    return header, begin


def file_checksums(data: bytes) -> dict[str, int]:
    """The checksum of each tensor of a safetensors file, given its bytes."""
    header, begin = file_header(data)
    spans = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
    return {name: checksum_of(data, begin + start, begin + end) for name, (start, end) in spans.items()}


def load_checked(data: bytes, entries: dict, path: object) -> tuple[dict[str, Tensor], dict]:
    """The tensors of a safetensors file, given its bytes, and the object of its header without the checksums.

    Older files have no checksums. UserError, which names the file and the tensor: it differs from what was written. ValueError:
    the checksums are none. SafetensorError: the bytes are not those of a file.
    """
    if KEY not in entries:
        return load(data), entries
    with ThreadPoolExecutor(1) as pool:
        sums = pool.submit(file_checksums, data)
        tensors = load(data)
    refuse_changed(sums.result(), entries[KEY], path)
    return tensors, {key: value for key, value in entries.items() if key != KEY}


def with_checksums(entries: dict, tensors: Mapping[str, Tensor]) -> str:
    """The object of a file's header as JSON, with the checksum of each tensor.

    It is one entry of the header, since safetensors writes several in any order, and equal files are to be equal bytes.
    """
    return json.dumps(entries | {KEY: {name: checksum(x) for name, x in tensors.items()}})


def refuse_changed(sums: Mapping[str, int], expected: object, path: object) -> None:
    """Raises UserError if a checksum differs from the expected one, and ValueError if those are not of the same tensors."""
    if not isinstance(expected, dict) or expected.keys() != sums.keys():
        raise ValueError("the checksums in its header are not those of its tensors")
    for name, value in expected.items():
        if sums[name] != value:
            raise UserError(f"{path} is damaged: {name} is not what was written; take the file from a backup")
