"""Deformable DETR on ResNet-18 under its ResNet-101, with the three losses of DETRDistill.

Paper      DETRDistill, arXiv 2211.10156, Table 10; Deformable DETR, arXiv 2010.04159
Command    python -m train fit deformable_r18_distill --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Teacher    python -m train fit deformable_r101, with the same data
Hardware   16 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 43.3 after 50 epochs in Table 10, +3.3 by distilling
Tiny       shapes_deformable_distill
"""

from dataclasses import replace

from train.recipes.from_papers import deformable_r18, deformable_r50_distill
from train.run import Run


def run() -> Run:
    """`deformable_r50_distill` with the student of `deformable_r18`."""
    start = deformable_r50_distill.run()
    return replace(start, name="deformable_r18_distill", student=deformable_r18.run().student)
