"""Conditional DETR on ResNet-50 with 3 layers in the encoder and 6 in the decoder, alone.

Paper      DETRDistill, arXiv 2211.10156, Table 4; Conditional DETR, arXiv 2108.06152
Command    python -m train fit conditional_e3d6 --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 33.0 in Table 4
Tiny       shapes_conditional_e2d4
"""

from dataclasses import replace

from train.recipes.from_papers import conditional_e6d6
from train.run import Run


def run() -> Run:
    """`conditional_e6d6` with 3 layers in the encoder and 6 in the decoder."""
    start = conditional_e6d6.run()
    return replace(start, name="conditional_e3d6", student=replace(start.student, encoder_layers=3, layers=6))
