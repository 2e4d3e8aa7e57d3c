"""Conditional DETR on ResNet-101, the teacher.

Paper      DETRDistill, arXiv 2211.10156, Table 3; Conditional DETR, arXiv 2108.06152
Command    python -m train fit conditional_r101 --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 42.4 after 50 epochs in Table 3; the original's own 42.8
Tiny       shapes_conditional_teacher
"""

from dataclasses import replace

from train.recipes.from_papers import conditional_r50
from train.run import Run


def run() -> Run:
    """`conditional_r50` on ResNet-101."""
    start = conditional_r50.run()
    return replace(start, name="conditional_r101", student=replace(start.student, backbone="resnet101"))
