"""python -m tests.helpers.rss DETECTOR HEIGHT WIDTH IMAGES: what training takes, and what was expected, in bytes.

Measured as growth of the process, for a process of its own.
"""

import re
import sys
from pathlib import Path

import torch

from core import detectors
from tests.helpers import tiny
from train.job import memory
from train.job.optim import optimizer
from train.run import Optim


def resident(which: str) -> int:
    """VmRSS is that of now, VmHWM the highest so far."""
    return 1024 * int(re.search(rf"{which}:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def main(name: str, height: int, width: int, images: int) -> None:
    torch.set_num_threads(1)
    step = tiny.distiller(detectors.build(name, backbone="resnet18", classes=8)).train()
    expected = memory.estimate(step, images, (height, width))
    update = optimizer(step, Optim())
    before = resident("VmRSS")
    for seed in range(2):
        batch = tiny.batch(((height, width),) * images, (4,) * images, classes=8, seed=seed)
        step(*batch).total.backward()
        update.step()
        update.zero_grad()
    print(resident("VmHWM") - before, expected.optimizer + expected.step)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
