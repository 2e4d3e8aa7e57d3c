"""A small Deformable DETR on your own photos in COCO format, alone.

Paper      none: Deformable DETR (arXiv 2010.04159) on ImageNet's EfficientNet-Lite0 (the timm extra), images at 144 x 192
Command    python -m train fit coco_deformable --data.train TRAIN.json --data.val VAL.json --data.images FOLDER
Hardware   two CPU cores for some hundred photos, or a GPU
Time       9 minutes for 296 photos and 20 epochs on one core of a busy machine
Expect     depends on the data
"""

from dataclasses import replace

from core.detectors import deformable
from train.recipes.own_data import coco
from train.run import Run

STUDENT = deformable.Config(
    backbone="timm:tf_efficientnet_lite0",
    frozen=4,
    strides=(8, 16, 32),
    queries=30,
    encoder_layers=1,
    layers=3,
    width=96,
    heads=8,
    points=4,
    feedforward=256,
    dropout=0.0,
    refine=True,
)


def run() -> Run:
    """`coco` with a small Deformable DETR as the student."""
    return replace(coco.run(), name="coco_deformable", student=STUDENT)
