"""A tiny Conditional DETR learns to find drawn shapes, alone.

Paper      none: the student of DETRDistill (arXiv 2211.10156) in a size for two CPU cores
Command    python -m train fit shapes_conditional
Hardware   two CPU cores, no file, no download
Time       about 3 minutes
Expect     AP about 29 (24 to 31 over three seeds)
"""

from dataclasses import replace

from core.detectors import conditional
from train.recipes.on_shapes import shapes
from train.run import Run

STUDENT = conditional.Config(
    classes=8,
    backbone="tiny16x1",
    frozen=0,
    strides=(8,),
    queries=20,
    encoder_layers=1,
    layers=3,
    width=64,
    heads=4,
    feedforward=256,
    dropout=0.0,
)


def run() -> Run:
    """`shapes` with a tiny Conditional DETR as the student, for 8 epochs."""
    start = shapes.run()
    return replace(start, name="shapes_conditional", student=STUDENT, optim=replace(start.optim, epochs=8))
