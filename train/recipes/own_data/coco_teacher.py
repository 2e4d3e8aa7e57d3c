"""The teacher for `coco_distill`: as `coco`, on EfficientNet-Lite2.

Paper      none: AdaMixer (arXiv 2203.16507) on ImageNet's EfficientNet-Lite2 (the timm extra), images at 144 x 192 pixels
Command    python -m train fit coco_teacher --data.train TRAIN.json --data.val VAL.json --data.images FOLDER
Hardware   two CPU cores for some hundred photos, or a GPU
Time       19 minutes for 296 photos and 40 epochs on one core
Expect     depends on the data
"""

from dataclasses import replace

from train.recipes.own_data import coco
from train.run import Run

STUDENT = replace(coco.STUDENT, backbone="timm:tf_efficientnet_lite2")


def run() -> Run:
    """`coco` on EfficientNet-Lite2, for twice as many epochs."""
    start = coco.run()
    optim = replace(start.optim, epochs=40)  # the smaller student needs half as many
    return replace(start, name="coco_teacher", student=STUDENT, optim=optim)
