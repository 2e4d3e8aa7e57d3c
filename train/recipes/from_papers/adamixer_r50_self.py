"""AdaMixer on ResNet-50 with itself, trained alone, as its teacher: self-distillation.

Paper      DETRDistill, arXiv 2211.10156, self-distillation; AdaMixer, arXiv 2203.16507
Command    python -m train fit adamixer_r50_self --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Teacher    python -m train fit adamixer_r50, with the same data
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     1.3 to 2.3 AP above adamixer_r50, whose AP is 42.3 in Table 3
Tiny       shapes_self
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.from_papers import adamixer_r50_distill
from train.run import Run

TEACHER = Path("runs/adamixer_r50")


def run() -> Run:
    """`adamixer_r50_distill` with the run `adamixer_r50` as its teacher."""
    return replace(adamixer_r50_distill.run(), name="adamixer_r50_self", teacher=TEACHER)
