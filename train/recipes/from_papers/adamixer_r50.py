"""AdaMixer on ResNet-50, alone.

Paper      DETRDistill, arXiv 2211.10156, Table 3; AdaMixer, arXiv 2203.16507
Command    python -m train fit adamixer_r50 --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 42.3 after 12 epochs in Table 3; AdaMixer's own 42.7, 42.6 when repeated
Tiny       shapes

The 1x setting of MCG-NJU/AdaMixer. It leaves out images without objects, which are kept here. The images of a step are
all upright or all wide, as MMDetection groups the images of a GPU.
"""

from core.data.transforms import Augment
from core.detectors import adamixer
from core.losses import detection
from train.run import Data, Losses, Optim, Run


def run() -> Run:
    """The settings of AdaMixer's own release on COCO."""
    return Run(
        name="adamixer_r50",
        student=adamixer.Config(),
        losses=Losses(detection=detection.Config(weight=1.0)),
        data=Data(kind="coco", aspect_groups=1, augment=Augment(sizes=(800,))),
        optim=Optim(
            lr=2.5e-5,
            epochs=12,
            batch=16,
            warmup=500,
            warmup_from=0.001,
            schedule="step",
            milestones=(8, 11),
            clip=1.0,
        ),
        init="imagenet",
        checkpoint_every=1000,
        workers=4,
    )
