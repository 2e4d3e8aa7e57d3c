"""Conditional DETR on MobileNetV2 under its ResNet-101, with the three losses of DETRDistill.

Paper      DETRDistill, arXiv 2211.10156, Table 10; Conditional DETR, arXiv 2108.06152
Command    python -m train fit conditional_mobilenetv2_distill --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Teacher    python -m train fit conditional_r101, with the same data
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 36.4 after 50 epochs in Table 10, +2.7 by distilling
Tiny       shapes_conditional_distill
"""

from dataclasses import replace

from train.recipes.from_papers import conditional_mobilenetv2, conditional_r50_distill
from train.run import Run


def run() -> Run:
    """`conditional_r50_distill` with the student of `conditional_mobilenetv2`."""
    start = conditional_r50_distill.run()
    return replace(start, name="conditional_mobilenetv2_distill", student=conditional_mobilenetv2.run().student)
