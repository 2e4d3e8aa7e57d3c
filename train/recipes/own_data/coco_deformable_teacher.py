"""The teacher for `coco_deformable_distill`: as `coco_deformable`, on EfficientNet-Lite2.

Paper      none: the teacher of DETRDistill (arXiv 2211.10156) on ImageNet's EfficientNet-Lite2 (the timm extra)
Command    python -m train fit coco_deformable_teacher --data.train TRAIN.json --data.val VAL.json --data.images FOLDER
Hardware   two CPU cores for some hundred photos, or a GPU
Time       18 minutes for 296 photos and 40 epochs on one core of a busy machine
Expect     depends on the data
"""

from dataclasses import replace

from train.recipes.own_data import coco_deformable, coco_teacher
from train.run import Run


def run() -> Run:
    """`coco_deformable` on EfficientNet-Lite2, for twice as many epochs."""
    student = replace(coco_deformable.STUDENT, backbone=coco_teacher.STUDENT.backbone)
    return replace(
        coco_deformable.run(), name="coco_deformable_teacher", student=student, optim=coco_teacher.run().optim
    )
