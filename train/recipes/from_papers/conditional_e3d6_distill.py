"""Conditional DETR on ResNet-50, 3 layers in the encoder and 6 in the decoder, under the teacher of 6 and 6.

Paper      DETRDistill, arXiv 2211.10156, Table 4; Conditional DETR, arXiv 2108.06152
Command    python -m train fit conditional_e3d6_distill --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Teacher    python -m train fit conditional_r101_12e, with the same data
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 37.7 in Table 4, +4.7 by distilling
Tiny       shapes_conditional_e2d4_distill
"""

from dataclasses import replace

from train.recipes.from_papers import conditional_e3d6, conditional_e6d6_distill
from train.run import Run


def run() -> Run:
    """`conditional_e6d6_distill` with the student of `conditional_e3d6`."""
    start = conditional_e6d6_distill.run()
    return replace(start, name="conditional_e3d6_distill", student=conditional_e3d6.run().student)
