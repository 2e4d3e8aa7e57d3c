"""Conditional DETR on ResNet-50, 6 layers in the encoder and 6 in the decoder, under the teacher of 6 and 6.

Paper      DETRDistill, arXiv 2211.10156, Table 4; Conditional DETR, arXiv 2108.06152
Command    python -m train fit conditional_e6d6_distill --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Teacher    python -m train fit conditional_r101_12e, with the same data
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 38.1 in Table 4, +5.1 by distilling
Tiny       shapes_conditional_e4d4_distill

Where the decoder of a student is half as deep as the teacher's, two of the teacher's layers teach one of the student's
(Fig. 5); the paper does not say whether their losses add up or are averaged: here they add up (--losses.logits.group).
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.from_papers import conditional_e6d6
from train.recipes.on_shapes.shapes_distill import LOSSES
from train.run import Run

TEACHER = Path("runs/conditional_r101_12e")


def run() -> Run:
    """`conditional_e6d6` with the three losses of DETRDistill and its teacher."""
    return replace(conditional_e6d6.run(), name="conditional_e6d6_distill", losses=LOSSES, teacher=TEACHER)
