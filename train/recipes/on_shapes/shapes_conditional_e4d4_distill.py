"""A tiny Conditional DETR, 4 layers in the encoder and 4 in the decoder, under the teacher of 4 and 4.

Paper      DETRDistill, arXiv 2211.10156, Table 4, in a size for two CPU cores
Command    python -m train fit shapes_conditional_e4d4_distill
Teacher    python -m train fit shapes_conditional_e4d4_teacher
Hardware   two CPU cores, no file, no download
Time       about 11 minutes
Expect     AP about 12 after 3 epochs (10 to 15 over three seeds), 8 above `shapes_conditional_e4d4`
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.on_shapes import shapes_conditional_e4d4
from train.recipes.on_shapes.shapes_distill import LOSSES
from train.run import Run

TEACHER = Path("runs/shapes_conditional_e4d4_teacher")


def run() -> Run:
    """`shapes_conditional_e4d4` with the three losses of DETRDistill and its teacher."""
    return replace(
        shapes_conditional_e4d4.run(), name="shapes_conditional_e4d4_distill", losses=LOSSES, teacher=TEACHER
    )
