"""The student of `shapes_deformable` with itself, trained alone, as its teacher: self-distillation.

Paper      DETRDistill, arXiv 2211.10156, self-distillation
Command    python -m train fit shapes_deformable_self
Teacher    python -m train fit shapes_deformable
Hardware   two CPU cores, no file, no download
Time       about 5 minutes
Expect     AP about 42 where `shapes_deformable`, its teacher, has 39 (one seed)
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.on_shapes import shapes_deformable_distill
from train.run import Run

TEACHER = Path("runs/shapes_deformable")


def run() -> Run:
    """`shapes_deformable_distill` with the run `shapes_deformable` as its teacher."""
    return replace(shapes_deformable_distill.run(), name="shapes_deformable_self", teacher=TEACHER)
