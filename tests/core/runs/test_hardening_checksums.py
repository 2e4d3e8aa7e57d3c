"""Bit flips in a file of weights are noticed wherever they fall, and at no cost that one would notice."""

import json
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save, save_file

from core.errors import UserError
from core.runs.checkpoint import load_detector, read_tensors, save_detector
from core.runs.checksums import checksum, with_checksums
from tests.helpers import runs, tiny
from train.engine import loop
from train.run_folder import state

KINDS = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool)


@given(kind=st.sampled_from(KINDS), count=st.integers(0, 40), place=st.floats(0, 0.999), bit=st.integers(0, 7))
def test_every_bit_counts(kind, count, place, bit):
    x = (torch.arange(count) % 2 if kind == torch.bool else torch.randn(count) * 9).to(kind)
    before = checksum(x)
    assert checksum(x.clone()) == before
    raw = x.view(torch.uint8)
    if len(raw):
        raw[int(place * len(raw))] ^= 1 << bit
        assert checksum(x) != before


def test_the_sum_is_that_of_words_of_64_bits():
    assert checksum(torch.tensor([1, 2, 3])) == 6 and checksum(torch.tensor([2**63 - 1, 1])) == -(2**63)
    assert checksum(torch.ones(9, dtype=torch.uint8)) == int.from_bytes(bytes([1] * 8), "little") + 1
    assert checksum(torch.zeros(3, 0)) == 0 and checksum(torch.tensor(5)) == 5


def data_of(path) -> tuple[int, bytes]:
    """Where the tensors begin in a safetensors file, and the file."""
    raw = path.read_bytes()
    return 8 + int.from_bytes(raw[:8], "little"), raw


def flipped(path, rng: random.Random) -> None:
    """Changes one bit of the tensors of a file."""
    start, raw = data_of(path)
    at = rng.randrange(start, len(raw))
    path.write_bytes(raw[:at] + bytes([raw[at] ^ (1 << rng.randrange(8))]) + raw[at + 1 :])


@pytest.mark.parametrize("seed", range(10))
def test_a_flipped_bit_is_refused_by_the_name_of_its_tensor(seed, tmp_path):
    path = tmp_path / "student.safetensors"
    save_detector(path, tiny.detector("adamixer"), {"a": 1})
    before = {name: checksum(x) for name, x in load_file(path).items()}  # at once: the file is mapped into memory
    load_detector(path)
    flipped(path, random.Random(seed))
    (name,) = (n for n, x in load_file(path).items() if checksum(x) != before[n])
    with pytest.raises(UserError, match=f"student.safetensors is damaged: {name} is not what was written"):
        load_detector(path)


def test_a_flipped_bit_of_a_checkpoint_is_refused(tmp_path):
    path = loop.fit(runs.small(optim=replace(runs.OPTIM, epochs=1)), tmp_path / "run")
    loop.resume(path)
    flipped(state.path(path), random.Random(1))
    with pytest.raises(UserError, match="state.safetensors is damaged"):
        loop.resume(path)


def test_files_without_checksums_open_and_wrong_ones_do_not(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = {"a": torch.ones(3), "b": torch.ones(())}
    save_file(tensors, path)
    assert read_tensors(path)[0].keys() == tensors.keys()
    for sums in ({}, {"a": 1}, [], None, {"a": 1, "b": 2, "c": 3}):
        path.write_bytes(save(tensors, {"card": json.dumps({"sums": sums})}))
        with pytest.raises(UserError, match="a.safetensors is not a safetensors file .*checksums"):
            read_tensors(path)
    path.write_bytes(save(tensors, {"card": with_checksums({"x": 1}, tensors)}))
    assert read_tensors(path)[1] == {"x": 1}
