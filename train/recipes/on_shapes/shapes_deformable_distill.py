"""The student of `shapes_deformable` with the three losses of DETRDistill.

Paper      DETRDistill, arXiv 2211.10156: logits, target-aware features, query-prior assignment
Command    python -m train fit shapes_deformable_distill
Teacher    python -m train fit shapes_deformable_teacher
Hardware   two CPU cores, no file, no download
Time       about 3 minutes
Expect     AP about 40 over three seeds, 2 above `shapes_deformable`
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.on_shapes import shapes_deformable
from train.recipes.on_shapes.shapes_distill import LOSSES
from train.run import Run

TEACHER = Path("runs/shapes_deformable_teacher")


def run() -> Run:
    """`shapes_deformable` with the three losses of DETRDistill and its teacher."""
    return replace(shapes_deformable.run(), name="shapes_deformable_distill", losses=LOSSES, teacher=TEACHER)
