"""A small Conditional DETR on your own photos in COCO format, alone.

Paper      none: Conditional DETR (arXiv 2108.06152) on ImageNet's EfficientNet-Lite0 (the timm extra), images at 144 x 192
Command    python -m train fit coco_conditional --data.train TRAIN.json --data.val VAL.json --data.images FOLDER
Hardware   two CPU cores for some hundred photos, or a GPU
Time       4 minutes for 296 photos and 20 epochs on one core of a busy machine
Expect     depends on the data
"""

from dataclasses import replace

from core.detectors import conditional
from train.recipes.own_data import coco
from train.run import Run

STUDENT = conditional.Config(
    backbone="timm:tf_efficientnet_lite0",
    frozen=4,
    strides=(16,),
    queries=30,
    encoder_layers=1,
    layers=3,
    width=96,
    heads=8,
    feedforward=256,
    dropout=0.0,
)


def run() -> Run:
    """`coco` with a small Conditional DETR as the student."""
    return replace(coco.run(), name="coco_conditional", student=STUDENT)
