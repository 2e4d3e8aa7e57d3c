"""Deformable DETR on ResNet-50 under its ResNet-101, with the three losses of DETRDistill.

Paper      DETRDistill, arXiv 2211.10156, Table 3; Deformable DETR, arXiv 2010.04159
Command    python -m train fit deformable_r50_distill --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Teacher    python -m train fit deformable_r101, with the same data
Hardware   16 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 46.6 after 50 epochs in Table 3, +2.5 by distilling
Tiny       shapes_deformable_distill

The paper does not give the weights of its three losses: each counts 1 (--losses.logits.weight and so on), as in its
release. What else it leaves open is a field of each loss, at the default profile's value.
The release uses warm-up in its distilled run and not in those that it is compared with; so does this recipe.
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.from_papers import deformable_r50
from train.recipes.on_shapes.shapes_distill import LOSSES
from train.run import Run

TEACHER = Path("runs/deformable_r101")


def run() -> Run:
    """`deformable_r50` with the three losses of DETRDistill, its teacher, and a warm-up."""
    start = deformable_r50.run()
    optim = replace(start.optim, warmup=500, warmup_from=0.001)
    return replace(start, name="deformable_r50_distill", losses=LOSSES, teacher=TEACHER, optim=optim)
