"""python -m tests.helpers.compiled BACKEND: torch.compile of each detector gives what it gives without. For a process of its
own, since the tests' checks of shapes are in the way of a compiler.
"""

import sys

import torch

from core.runs.inference import Inference
from tests.helpers import tiny

CASES = {"adamixer": {}, "conditional": {}, "deformable": {"refine": True, "two_stage": True}}
SIZES = ((64, 64), (48, 64)), ((50, 64), (64, 33))


def model(name: str) -> Inference:
    return Inference(tiny.detector(name, **CASES[name]))


def tensors(seed: int):
    """Images of other sizes for each seed, in a batch of one size."""
    images, _ = tiny.batch(SIZES[seed], seed=seed)
    return images.pixels, images.padding, images.sizes


@torch.no_grad()
def compare(backend: str) -> None:
    for name in CASES:
        plain = model(name)
        compiled = torch.compile(plain, backend=backend, fullgraph=True)
        for seed in range(len(SIZES)):
            for a, b in zip(compiled(*tensors(seed)), plain(*tensors(seed)), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    torch.set_num_threads(1)
    compare(sys.argv[1])
