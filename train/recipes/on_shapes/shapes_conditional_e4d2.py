"""A tiny Conditional DETR with 4 layers in the encoder and 2 in the decoder, alone.

Paper      DETRDistill, arXiv 2211.10156, Table 4, in a size for two CPU cores
Command    python -m train fit shapes_conditional_e4d2
Hardware   two CPU cores, no file, no download
Time       about 5 minutes
Expect     AP about 4 after 3 epochs (4 to 5 over three seeds)
"""

from dataclasses import replace

from train.recipes.on_shapes import shapes_conditional_e4d4
from train.run import Run


def run() -> Run:
    """`shapes_conditional_e4d4` with 4 layers in the encoder and 2 in the decoder."""
    start = shapes_conditional_e4d4.run()
    return replace(start, name="shapes_conditional_e4d2", student=replace(start.student, encoder_layers=4, layers=2))
