"""A tiny Conditional DETR with 2 layers in the encoder and 4 in the decoder, alone.

Paper      DETRDistill, arXiv 2211.10156, Table 4, in a size for two CPU cores
Command    python -m train fit shapes_conditional_e2d4
Hardware   two CPU cores, no file, no download
Time       about 4 minutes
Expect     AP about 9 after 3 epochs (8 to 11 over three seeds)
"""

from dataclasses import replace

from train.recipes.on_shapes import shapes_conditional_e4d4
from train.run import Run


def run() -> Run:
    """`shapes_conditional_e4d4` with 2 layers in the encoder and 4 in the decoder."""
    start = shapes_conditional_e4d4.run()
    return replace(start, name="shapes_conditional_e2d4", student=replace(start.student, encoder_layers=2, layers=4))
