"""The teacher of the shapes recipes: twice as wide and deep a backbone.

Paper      none: the teacher of DETRDistill (arXiv 2211.10156) in a size for two CPU cores
Command    python -m train fit shapes_teacher
Hardware   two CPU cores, no file, no download
Time       about 10 minutes
Expect     AP about 68
"""

from dataclasses import replace

from train.recipes.on_shapes import shapes
from train.run import Run

INIT = str(shapes.BACKBONES / "tiny32x2.safetensors")


def run() -> Run:
    """`shapes` with a larger backbone, for 12 epochs."""
    start = shapes.run()
    student = replace(shapes.STUDENT, backbone="tiny32x2")
    return replace(start, name="shapes_teacher", student=student, init=INIT, optim=replace(start.optim, epochs=12))
