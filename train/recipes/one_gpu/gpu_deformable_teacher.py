"""The teacher for `gpu_deformable_distill`: as `gpu_deformable`, on ResNet-50.

Paper      Deformable DETR, arXiv 2010.04159; its schedule in proportion
Command    python -m train fit gpu_deformable_teacher --data FOLDER
Hardware   a GPU of 24 GB or more; --optim.passes 2 for a smaller one
Time       not measured
Expect     depends on the data
"""

from dataclasses import replace

from train.recipes.one_gpu import gpu_deformable
from train.run import Run


def run() -> Run:
    """`gpu_deformable` on ResNet-50."""
    start = gpu_deformable.run()
    return replace(start, name="gpu_deformable_teacher", student=replace(start.student, backbone="resnet50"))
