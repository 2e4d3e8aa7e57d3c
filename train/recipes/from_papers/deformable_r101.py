"""Deformable DETR on ResNet-101, the teacher.

Paper      DETRDistill, arXiv 2211.10156, Table 3; Deformable DETR, arXiv 2010.04159
Command    python -m train fit deformable_r101 --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Hardware   16 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 45.5 after 50 epochs in Table 3; 44.8 in its release
Tiny       shapes_deformable_teacher
"""

from dataclasses import replace

from train.recipes.from_papers import deformable_r50
from train.run import Run


def run() -> Run:
    """`deformable_r50` on ResNet-101."""
    start = deformable_r50.run()
    return replace(start, name="deformable_r101", student=replace(start.student, backbone="resnet101"))
