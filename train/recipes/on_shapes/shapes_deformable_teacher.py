"""The teacher of `shapes_deformable_distill`: twice as wide and deep a backbone.

Paper      none: the teacher of DETRDistill (arXiv 2211.10156) in a size for two CPU cores
Command    python -m train fit shapes_deformable_teacher
Hardware   two CPU cores, no file, no download
Time       about 8 minutes
Expect     AP about 64
"""

from dataclasses import replace

from train.recipes.on_shapes import shapes_deformable, shapes_teacher
from train.run import Run


def run() -> Run:
    """`shapes_deformable` with a larger backbone, for 10 epochs."""
    start = shapes_deformable.run()
    student = replace(start.student, backbone="tiny32x2")
    optim = replace(start.optim, epochs=10)
    return replace(start, name="shapes_deformable_teacher", student=student, init=shapes_teacher.INIT, optim=optim)
