"""Conditional DETR on ResNet-50, alone.

Paper      DETRDistill, arXiv 2211.10156, Table 3; Conditional DETR, arXiv 2108.06152
Command    python -m train fit conditional_r50 --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       30 hours of 8 V100, as the original says
Expect     AP 40.7 after 50 epochs in Table 3; the original's own 41.0
Tiny       shapes_conditional
"""

from core.data.transforms import DETR
from core.detectors import conditional
from core.losses import detection
from train.run import Data, Losses, Optim, Run


def run() -> Run:
    """The settings of Conditional DETR's own release on COCO."""
    return Run(
        name="conditional_r50",
        student=conditional.Config(),
        losses=Losses(detection=detection.Config(weight=1.0)),
        data=Data(kind="coco", augment=DETR),
        optim=Optim(
            lr=1e-4,
            backbone_lr=0.1,
            epochs=50,
            batch=16,
            warmup=0,
            schedule="step",
            milestones=(40,),
            clip=0.1,
        ),
        init="imagenet",
        checkpoint_every=1000,
        workers=4,
    )
