"""The student of `coco` with the three losses of DETRDistill under your own teacher.

Paper      DETRDistill, arXiv 2211.10156: logits, target-aware features, query-prior assignment
Command    python -m train fit coco_distill --teacher runs/coco_teacher --data.train TRAIN.json --data.val VAL.json
           --data.images FOLDER
Hardware   two CPU cores for some hundred photos, or a GPU
Time       9 minutes for 296 photos and 20 epochs on one core
Expect     depends on the data
"""

from dataclasses import replace

from train.recipes.on_shapes.shapes_distill import LOSSES
from train.recipes.own_data import coco
from train.run import Run


def run() -> Run:
    """`coco` with the three losses of DETRDistill; the teacher comes from --teacher."""
    return replace(coco.run(), name="coco_distill", losses=LOSSES)
