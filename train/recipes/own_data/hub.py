"""A detector of transformers, fine-tuned on your own photos in COCO format: RT-DETR, D-FINE, RF-DETR, DETR and others.

Paper      that of the detector; settings are ours, after the originals' fine-tuning
Command    python -m train fit hub --init FOLDER --data.train TRAIN.json --data.val VAL.json --data.images FOLDER
Hardware   a GPU; two CPU cores for a small detector and some hundred photos
Time       depends on the detector
Expect     depends on the data
"""

from core.data.transforms import Augment
from core.detectors import hub
from core.losses import detection
from train.run import Data, Losses, Optim, Run

AUGMENT = Augment(flip=0.5, jitter=0.2, sizes=(640,), longest=640, square=True)


def run() -> Run:
    """A detector of transformers; --init FOLDER, which transformers saved, gives architecture and weights."""
    return Run(
        name="hub",
        student=hub.Config(),
        losses=Losses(detection=detection.Config(weight=1.0)),
        data=Data(kind="coco", augment=AUGMENT),
        optim=Optim(lr=1e-4, backbone_lr=0.1, epochs=20, batch=8, warmup=100, schedule="flat-decay", clip=0.1),
        channels_last=True,  # a tenth faster for most families on two cores, slower for none (`analysis bench hub`)
    )
