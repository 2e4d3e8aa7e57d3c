"""A small detector of transformers on your own photos, distilled from any teacher, such as `hub_teacher`.

Paper      DETRDistill, arXiv 2211.10156: target-aware features. The query prior needs a teacher of the same family
           (--losses.prior.weight 1). The logits (--losses.logits.weight 1) cost RT-DETRv2 and RF-DETR AP (docs/results.md); they
           were not tried with families whose queries are learned, such as DETR
Command    python -m train fit hub_distill --init FOLDER --teacher runs/hub_teacher --data.train TRAIN.json --data.val VAL.json
           --data.images FOLDER
Hardware   a GPU
Time       twice that of `hub`, or less
Expect     depends on the data
"""

from dataclasses import replace

from core.losses import detection, features
from train.recipes.own_data import hub
from train.run import Losses, Run

LOSSES = Losses(detection=detection.Config(weight=1.0), features=features.Config(weight=1.0))


def run() -> Run:
    """`hub` with the losses that any teacher can give; the teacher comes from --teacher."""
    return replace(hub.run(), name="hub_distill", losses=LOSSES)
