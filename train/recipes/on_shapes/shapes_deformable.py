"""A tiny Deformable DETR learns to find drawn shapes, alone.

Paper      none: the student of DETRDistill (arXiv 2211.10156) in a size for two CPU cores
Command    python -m train fit shapes_deformable
Hardware   two CPU cores, no file, no download
Time       about 2 minutes
Expect     AP about 38 (37 to 40 over three seeds)
"""

from dataclasses import replace

from core.detectors import deformable
from train.recipes.on_shapes import shapes
from train.run import Run

STUDENT = deformable.Config(
    classes=8,
    backbone="tiny16x1",
    frozen=0,
    strides=(8, 16),
    queries=20,
    encoder_layers=1,
    layers=3,
    width=64,
    heads=4,
    points=4,
    feedforward=256,
    dropout=0.0,
    refine=True,
)


def run() -> Run:
    """`shapes` with a tiny Deformable DETR as the student, for 5 epochs."""
    start = shapes.run()
    return replace(start, name="shapes_deformable", student=STUDENT, optim=replace(start.optim, epochs=5))
