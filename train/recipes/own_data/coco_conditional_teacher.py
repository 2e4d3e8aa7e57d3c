"""The teacher for `coco_conditional_distill`: as `coco_conditional`, on EfficientNet-Lite2.

Paper      none: the teacher of DETRDistill (arXiv 2211.10156) on ImageNet's EfficientNet-Lite2 (the timm extra)
Command    python -m train fit coco_conditional_teacher --data.train TRAIN.json --data.val VAL.json --data.images FOLDER
Hardware   two CPU cores for some hundred photos, or a GPU
Time       10 minutes for 296 photos and 40 epochs on one core of a busy machine
Expect     depends on the data
"""

from dataclasses import replace

from train.recipes.own_data import coco_conditional, coco_teacher
from train.run import Run


def run() -> Run:
    """`coco_conditional` on EfficientNet-Lite2, for twice as many epochs."""
    student = replace(coco_conditional.STUDENT, backbone=coco_teacher.STUDENT.backbone)
    return replace(
        coco_conditional.run(), name="coco_conditional_teacher", student=student, optim=coco_teacher.run().optim
    )
