"""Conditional DETR on ResNet-101 for 12 epochs, the teacher of unequal depths.

Paper      DETRDistill, arXiv 2211.10156, Table 4; Conditional DETR, arXiv 2108.06152
Command    python -m train fit conditional_r101_12e --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 36.2 in Table 4
Tiny       shapes_conditional_e4d4_teacher
"""

from dataclasses import replace

from train.recipes.from_papers import conditional_e6d6
from train.run import Run


def run() -> Run:
    """`conditional_e6d6` on ResNet-101."""
    start = conditional_e6d6.run()
    return replace(start, name="conditional_r101_12e", student=replace(start.student, backbone="resnet101"))
