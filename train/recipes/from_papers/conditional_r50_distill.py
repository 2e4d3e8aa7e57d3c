"""Conditional DETR on ResNet-50 under its ResNet-101, with the three losses of DETRDistill.

Paper      DETRDistill, arXiv 2211.10156, Table 3; Conditional DETR, arXiv 2108.06152
Command    python -m train fit conditional_r50_distill --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Teacher    python -m train fit conditional_r101, with the same data
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 42.9 after 50 epochs in Table 3, +2.2 by distilling
Tiny       shapes_conditional_distill

The paper does not give the weights of its three losses: each counts 1 (--losses.logits.weight and so on), as in its
release. What else it leaves open is a field of each loss, at the default profile's value.
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.from_papers import conditional_r50
from train.recipes.on_shapes.shapes_distill import LOSSES
from train.run import Run

TEACHER = Path("runs/conditional_r101")


def run() -> Run:
    """`conditional_r50` with the three losses of DETRDistill and its teacher."""
    return replace(conditional_r50.run(), name="conditional_r50_distill", losses=LOSSES, teacher=TEACHER)
