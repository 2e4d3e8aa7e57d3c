"""AdaMixer on ResNet-18 at 640 pixels, on your own photos with one GPU, alone.

Paper      AdaMixer, arXiv 2203.16507; its schedule in proportion
Command    python -m train fit gpu_adamixer --data FOLDER
Hardware   a GPU of 16 GB or more; --batch 8 --lr with half the rate for a smaller one
Time       not measured
Expect     depends on the data

100 queries. The rate is that of the original, whose steps have 16 images too; the last third of the steps, in which the
original lowers the rate twice, lowers it evenly.
100 epochs suit about 1,000 images; take --epochs 50 for 5,000 and --epochs 12 to 24 for 50,000 or more.
"""

from dataclasses import replace

from core.data.transforms import Augment
from core.losses import detection
from train.recipes.from_papers import adamixer_r50
from train.run import Data, Losses, Optim, Run

AUGMENT = Augment(flip=0.5, jitter=0.2, sizes=(480, 512, 544, 576, 608, 640), longest=1066)


def run() -> Run:
    """The student of AdaMixer's release on ResNet-18; the data comes from the flags."""
    student = replace(adamixer_r50.run().student, backbone="resnet18")
    return Run(
        name="gpu_adamixer",
        student=student,
        losses=Losses(detection=detection.Config(weight=1.0)),
        data=Data(kind="coco", aspect_groups=1, augment=AUGMENT),
        optim=Optim(
            lr=2.5e-5, epochs=100, batch=16, warmup=500, warmup_from=0.001, schedule="flat-decay", tail=0.33, clip=1.0
        ),
        init="imagenet",
        workers=8,
        amp="bf16",
    )
