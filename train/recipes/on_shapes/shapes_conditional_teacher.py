"""The teacher of `shapes_conditional_distill`: twice as wide and deep a backbone.

Paper      none: the teacher of DETRDistill (arXiv 2211.10156) in a size for two CPU cores
Command    python -m train fit shapes_conditional_teacher
Hardware   two CPU cores, no file, no download
Time       about 6 minutes
Expect     AP about 49
"""

from dataclasses import replace

from train.recipes.on_shapes import shapes_conditional, shapes_teacher
from train.run import Run


def run() -> Run:
    """`shapes_conditional` with a larger backbone, for 16 epochs."""
    start = shapes_conditional.run()
    student = replace(start.student, backbone="tiny32x2")
    optim = replace(start.optim, epochs=16)
    return replace(start, name="shapes_conditional_teacher", student=student, init=shapes_teacher.INIT, optim=optim)
