"""The student of `shapes_conditional` with the three losses of DETRDistill.

Paper      DETRDistill, arXiv 2211.10156: logits, target-aware features, query-prior assignment
Command    python -m train fit shapes_conditional_distill
Teacher    python -m train fit shapes_conditional_teacher
Hardware   two CPU cores, no file, no download
Time       about 4 minutes
Expect     AP about 37 (36 to 37 over three seeds), 8 above `shapes_conditional`
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.on_shapes import shapes_conditional
from train.recipes.on_shapes.shapes_distill import LOSSES
from train.run import Run

TEACHER = Path("runs/shapes_conditional_teacher")


def run() -> Run:
    """`shapes_conditional` with the three losses of DETRDistill and its teacher."""
    return replace(shapes_conditional.run(), name="shapes_conditional_distill", losses=LOSSES, teacher=TEACHER)
