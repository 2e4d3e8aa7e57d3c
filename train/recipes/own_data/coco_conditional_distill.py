"""The student of `coco_conditional` with the three losses of DETRDistill under your own teacher.

Paper      DETRDistill, arXiv 2211.10156: logits, target-aware features, query-prior assignment
Command    python -m train fit coco_conditional_distill --teacher runs/coco_conditional_teacher --data.train TRAIN.json
           --data.val VAL.json --data.images FOLDER
Hardware   two CPU cores for some hundred photos, or a GPU
Time       8 minutes for 296 photos and 20 epochs on one core of a busy machine
Expect     depends on the data
"""

from dataclasses import replace

from train.recipes.on_shapes.shapes_distill import LOSSES
from train.recipes.own_data import coco_conditional
from train.run import Run


def run() -> Run:
    """`coco_conditional` with the three losses of DETRDistill; the teacher comes from --teacher."""
    return replace(coco_conditional.run(), name="coco_conditional_distill", losses=LOSSES)
