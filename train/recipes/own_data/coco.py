"""A small AdaMixer on your own photos in COCO format, alone.

Paper      none: AdaMixer (arXiv 2203.16507) on ImageNet's EfficientNet-Lite0 (the timm extra), images at 144 x 192 pixels
Command    python -m train fit coco --data.train TRAIN.json --data.val VAL.json --data.images FOLDER
Hardware   two CPU cores for some hundred photos, or a GPU
Time       5 minutes for 296 photos and 20 epochs on one core
Expect     depends on the data
"""

from core.data.transforms import Augment
from core.detectors import adamixer
from core.losses import detection
from train.run import Data, Losses, Optim, Run

STUDENT = adamixer.Config(
    backbone="timm:tf_efficientnet_lite0",
    frozen=4,
    queries=30,
    layers=3,
    width=96,
    heads=8,
    points=16,
    mixed_points=16,
    feedforward=256,
)
AUGMENT = Augment(flip=0.5, jitter=0.2, sizes=(128, 136, 144), longest=192)


def run() -> Run:
    """A small AdaMixer on EfficientNet-Lite0; the data comes from the flags."""
    return Run(
        name="coco",
        student=STUDENT,
        losses=Losses(detection=detection.Config(weight=1.0)),
        data=Data(kind="coco", augment=AUGMENT),
        optim=Optim(lr=4e-4, backbone_lr=0.25, epochs=20, batch=4, warmup=100, schedule="flat-decay", clip=10.0),
        init="imagenet",
        channels_last=True,  # a quarter faster on two cores: depthwise convolutions
    )
