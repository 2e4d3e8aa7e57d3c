"""The student of `coco` with the logits of your own teacher, which is asked once for each photo.

Paper      DETRDistill, arXiv 2211.10156: Hungarian-matching logits; a stored teacher is ours
Command    python -m train fit cheap --teacher runs/coco_teacher --data.train TRAIN.json --data.val VAL.json
           --data.images FOLDER
Hardware   two CPU cores for some hundred photos, or a GPU
Time       6 minutes for 296 photos and 20 epochs on one core
Expect     depends on the data; a step costs about a tenth more than the student's own
"""

from dataclasses import replace
from pathlib import Path

from core.losses import detection, logits
from train.recipes.own_data import coco
from train.run import Losses, Run

LOSSES = Losses(detection=detection.Config(weight=1.0), logits=logits.Config(weight=1.0))
STORE = Path("runs/cheap_store")


def run() -> Run:
    """`coco` with stored logits; the teacher comes from --teacher, and another store from --teacher-store."""
    return replace(coco.run(), name="cheap", losses=LOSSES, teacher_store=STORE)
