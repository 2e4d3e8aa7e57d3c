"""A tiny AdaMixer learns to find drawn shapes, alone.

Paper      none: the student of DETRDistill (arXiv 2211.10156) in a size for two CPU cores
Command    python -m train fit shapes
Hardware   two CPU cores, no file, no download
Time       about 3 minutes
Expect     AP about 45 (42 to 47 over three seeds)
"""

from pathlib import Path

from core.data.transforms import Augment
from core.detectors import adamixer
from core.losses import detection
from train.run import Data, Losses, Optim, Run

BACKBONES = Path("assets/backbones")  # made by `python -m train study backbones`
STUDENT = adamixer.Config(
    classes=8,
    backbone="tiny16x1",
    frozen=0,
    strides=(4, 8, 16),
    queries=20,
    layers=3,
    width=64,
    heads=4,
    points=12,
    mixed_points=12,
    feedforward=256,
)


def run() -> Run:
    """A tiny AdaMixer, trained alone on generated shapes."""
    return Run(
        name="shapes",
        student=STUDENT,
        losses=Losses(detection=detection.Config(weight=1.0)),
        init=str(BACKBONES / "tiny16x1.safetensors"),
        data=Data(kind="shapes", augment=Augment(jitter=0.2)),
        # The best of `python -m train study demo_sweep`, which looks at the student alone.
        optim=Optim(lr=1e-3, epochs=8, batch=8, warmup=80, schedule="flat-decay", clip=10.0),
    )
