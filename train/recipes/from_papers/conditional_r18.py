"""Conditional DETR on ResNet-18, alone.

Paper      DETRDistill, arXiv 2211.10156, Table 10; Conditional DETR, arXiv 2108.06152
Command    python -m train fit conditional_r18 --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 35.8 after 50 epochs in Table 10
Tiny       shapes_conditional
"""

from dataclasses import replace

from train.recipes.from_papers import conditional_r50
from train.run import Run


def run() -> Run:
    """`conditional_r50` on ResNet-18."""
    start = conditional_r50.run()
    student = replace(start.student, backbone="resnet18")
    return replace(start, name="conditional_r18", student=student)
