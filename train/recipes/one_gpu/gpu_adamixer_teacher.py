"""The teacher for `gpu_adamixer_distill`: as `gpu_adamixer`, on ResNet-50.

Paper      AdaMixer, arXiv 2203.16507; its schedule in proportion
Command    python -m train fit gpu_adamixer_teacher --data FOLDER
Hardware   a GPU of 24 GB or more; --optim.passes 2 for a smaller one
Time       not measured
Expect     depends on the data
"""

from dataclasses import replace

from train.recipes.one_gpu import gpu_adamixer
from train.run import Run


def run() -> Run:
    """`gpu_adamixer` on ResNet-50."""
    start = gpu_adamixer.run()
    return replace(start, name="gpu_adamixer_teacher", student=replace(start.student, backbone="resnet50"))
