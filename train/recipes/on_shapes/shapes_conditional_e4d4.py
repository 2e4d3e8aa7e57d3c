"""A tiny Conditional DETR with 4 layers in the encoder and 4 in the decoder, alone.

Paper      DETRDistill, arXiv 2211.10156, Table 4, in a size for two CPU cores
Command    python -m train fit shapes_conditional_e4d4
Hardware   two CPU cores, no file, no download
Time       about 6 minutes
Expect     AP about 4 after 3 epochs (3 to 6 over three seeds)

At the rate of `shapes_conditional`, 0.001 after 80 steps, nothing learns with 4 layers in the encoder: AP 0.2 after 16 epochs.
"""

from dataclasses import replace

from train.recipes.on_shapes import shapes_conditional
from train.run import Run


def run() -> Run:
    """`shapes_conditional` with 4 layers in encoder and decoder, a lower rate and a longer warm-up."""
    start = shapes_conditional.run()
    student, optim = replace(start.student, encoder_layers=4, layers=4), replace(start.optim, lr=5e-4, warmup=300)
    return replace(start, name="shapes_conditional_e4d4", student=student, optim=optim)
