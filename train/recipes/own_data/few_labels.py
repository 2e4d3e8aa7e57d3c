"""The student of `coco` on few labelled photos and many unlabelled ones, whose objects are your teacher's predictions.

Paper      none: pseudo truth, and the logits of DETRDistill (arXiv 2211.10156), from a teacher that is asked once
Command    python -m train fit few_labels --teacher runs/coco_teacher --data.train TRAIN.json --data.val VAL.json
           --data.images FOLDER --data.unlabelled PHOTOS
Hardware   two CPU cores for some hundred photos, or a GPU
Time       7 minutes for 296 photos and 20 epochs on one core
Expect     depends on the data; on generated images see docs/unlabelled.md
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.own_data import cheap
from train.run import Run

STORE = Path("runs/few_labels_store")


def run() -> Run:
    """`cheap`, with a store of its own; the images without labels come from --data.unlabelled."""
    return replace(cheap.run(), name="few_labels", teacher_store=STORE)
