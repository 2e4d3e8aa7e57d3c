"""Deformable DETR on ResNet-18, alone.

Paper      DETRDistill, arXiv 2211.10156, Table 10; Deformable DETR, arXiv 2010.04159
Command    python -m train fit deformable_r18 --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Hardware   16 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 40.0 after 50 epochs in Table 10
Tiny       shapes_deformable

The release has no valid configuration of ResNet-18; the same stages are frozen as in ResNet-50.
"""

from dataclasses import replace

from train.recipes.from_papers import deformable_r50
from train.run import Run


def run() -> Run:
    """`deformable_r50` on ResNet-18."""
    start = deformable_r50.run()
    student = replace(start.student, backbone="resnet18")
    return replace(start, name="deformable_r18", student=student)
