"""Conditional DETR on ResNet-50 with itself, trained alone, as its teacher: self-distillation.

Paper      DETRDistill, arXiv 2211.10156, self-distillation; Conditional DETR, arXiv 2108.06152
Command    python -m train fit conditional_r50_self --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Teacher    python -m train fit conditional_r50, with the same data
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     1.3 to 2.3 AP above conditional_r50, whose AP is 40.7 in Table 3
Tiny       shapes_conditional_self
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.from_papers import conditional_r50_distill
from train.run import Run

TEACHER = Path("runs/conditional_r50")


def run() -> Run:
    """`conditional_r50_distill` with the run `conditional_r50` as its teacher."""
    return replace(conditional_r50_distill.run(), name="conditional_r50_self", teacher=TEACHER)
