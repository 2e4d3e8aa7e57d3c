"""The student of `shapes` with itself, trained alone, as its teacher: self-distillation.

Paper      DETRDistill, arXiv 2211.10156, self-distillation
Command    python -m train fit shapes_self
Teacher    python -m train fit shapes
Hardware   two CPU cores, no file, no download
Time       about 5 minutes
Expect     AP about 52 where `shapes`, its teacher, has 46 (one seed)
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.on_shapes import shapes_distill
from train.run import Run

TEACHER = Path("runs/shapes")


def run() -> Run:
    """`shapes_distill` with the run `shapes` as its teacher."""
    return replace(shapes_distill.run(), name="shapes_self", teacher=TEACHER)
