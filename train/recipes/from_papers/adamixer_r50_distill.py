"""AdaMixer on ResNet-50 under its ResNet-101, with the three losses of DETRDistill.

Paper      DETRDistill, arXiv 2211.10156, Table 3; AdaMixer, arXiv 2203.16507
Command    python -m train fit adamixer_r50_distill --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Teacher    python -m train fit adamixer_r101, with the same data
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 44.7 after 12 epochs in Table 3, +2.4 by distilling
Tiny       shapes_distill

The paper does not give the weights of its three losses: each counts 1 (--losses.logits.weight and so on), as in its
release. What else it leaves open is a field of each loss, at the default profile's value.
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.from_papers import adamixer_r50
from train.recipes.on_shapes.shapes_distill import LOSSES
from train.run import Run

TEACHER = Path("runs/adamixer_r101")


def run() -> Run:
    """`adamixer_r50` with the three losses of DETRDistill and its teacher."""
    return replace(adamixer_r50.run(), name="adamixer_r50_distill", losses=LOSSES, teacher=TEACHER)
