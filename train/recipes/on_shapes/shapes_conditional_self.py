"""The student of `shapes_conditional` with itself, trained alone, as its teacher: self-distillation.

Paper      DETRDistill, arXiv 2211.10156, self-distillation
Command    python -m train fit shapes_conditional_self
Teacher    python -m train fit shapes_conditional
Hardware   two CPU cores, no file, no download
Time       about 7 minutes
Expect     AP about 28 where `shapes_conditional`, its teacher, has 22 (one seed)
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.on_shapes import shapes_conditional_distill
from train.run import Run

TEACHER = Path("runs/shapes_conditional")


def run() -> Run:
    """`shapes_conditional_distill` with the run `shapes_conditional` as its teacher."""
    return replace(shapes_conditional_distill.run(), name="shapes_conditional_self", teacher=TEACHER)
