"""A tiny Conditional DETR, 2 layers in the encoder and 2 in the decoder, under the teacher of 4 and 4.

Paper      DETRDistill, arXiv 2211.10156, Table 4, in a size for two CPU cores
Command    python -m train fit shapes_conditional_e2d2_distill
Teacher    python -m train fit shapes_conditional_e4d4_teacher
Hardware   two CPU cores, no file, no download
Time       about 8 minutes
Expect     AP about 12 after 3 epochs (10 to 13 over three seeds), 4 above `shapes_conditional_e2d2`
"""

from dataclasses import replace

from train.recipes.on_shapes import shapes_conditional_e2d2, shapes_conditional_e4d4_distill
from train.run import Run


def run() -> Run:
    """`shapes_conditional_e4d4_distill` with the student of `shapes_conditional_e2d2`."""
    start = shapes_conditional_e4d4_distill.run()
    return replace(start, name="shapes_conditional_e2d2_distill", student=shapes_conditional_e2d2.run().student)
