"""The student of `coco` for the last points of AP, where time is no object: stored logits and a query prior that fall away.

Paper      DETRDistill, arXiv 2211.10156: Hungarian-matching logits and query-prior assignment; that their weights fall to 0
           before the end, and the stored teacher, are ours
Command    python -m train fit best --teacher runs/coco_teacher --data.train TRAIN.json --data.val VAL.json
           --data.images FOLDER
Hardware   two CPU cores for some hundred photos, or a GPU
Time       25 minutes for 296 photos and 60 epochs on one core
Expect     depends on the data; the best of six ways to distil for equal time, where the student alone was better still
           (docs/results.md, "The best for a given time")
"""

from dataclasses import replace
from pathlib import Path

from core.losses import detection, logits, prior
from train.recipes.own_data import coco
from train.run import Distil, Losses, Run

LOSSES = Losses(
    detection=detection.Config(weight=1.0),
    logits=logits.Config(weight=1.0),
    prior=prior.Config(weight=1.0, joint=True),
)
STORE = Path("runs/best_store")


def run() -> Run:
    """`coco` for three times the epochs; the teacher comes from --teacher, and another store from --teacher-store."""
    start = coco.run()
    return replace(
        start,
        name="best",
        losses=LOSSES,
        distil=Distil(until=0.75, weights="falling"),
        optim=replace(start.optim, epochs=60),
        teacher_store=STORE,
    )
