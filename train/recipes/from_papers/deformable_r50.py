"""Deformable DETR on ResNet-50, alone.

Paper      DETRDistill, arXiv 2211.10156, Table 3; Deformable DETR, arXiv 2010.04159
Command    python -m train fit deformable_r50 --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Hardware   16 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       325 hours of a V100, as the original says
Expect     AP 44.1 after 50 epochs in Table 3 and by DETRDistill's release; the original's own 44.5
Tiny       shapes_deformable

The plain model: DETRDistill's release sets neither refinement nor two stages (--student.refine, --student.two-stage).
The name of its configuration file says 32 images a step, while its README starts 8 GPUs of 2 images.
"""

from core.data.transforms import DETR
from core.detectors import deformable
from core.losses import detection
from train.run import Data, Losses, Optim, Run


def run() -> Run:
    """The settings of Deformable DETR's own release on COCO."""
    return Run(
        name="deformable_r50",
        student=deformable.Config(),
        losses=Losses(detection=detection.Config(weight=1.0)),
        data=Data(kind="coco", augment=DETR),
        optim=Optim(
            lr=2e-4,
            backbone_lr=0.1,
            slow=("to_offset", "to_reference"),
            slow_lr=0.1,
            epochs=50,
            batch=32,
            warmup=0,
            schedule="step",
            milestones=(40,),
            clip=0.1,
        ),
        init="imagenet",
        checkpoint_every=1000,
        workers=4,
    )
