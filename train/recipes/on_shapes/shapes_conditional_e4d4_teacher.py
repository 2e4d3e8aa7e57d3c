"""The teacher of tiny Conditional DETRs of unequal depths: 4 and 4 layers, twice as wide and deep a backbone.

Paper      DETRDistill, arXiv 2211.10156, Table 4, in a size for two CPU cores
Command    python -m train fit shapes_conditional_e4d4_teacher
Hardware   two CPU cores, no file, no download
Time       about 11 minutes
Expect     AP about 45
"""

from dataclasses import replace

from train.recipes.on_shapes import shapes_conditional_e4d4, shapes_teacher
from train.run import Run


def run() -> Run:
    """`shapes_conditional_e4d4` with a larger backbone, a lower rate and more epochs."""
    start = shapes_conditional_e4d4.run()
    student = replace(start.student, backbone="tiny32x2")
    optim = replace(start.optim, lr=3e-4, warmup=400, epochs=10)
    return replace(
        start, name="shapes_conditional_e4d4_teacher", student=student, init=shapes_teacher.INIT, optim=optim
    )
