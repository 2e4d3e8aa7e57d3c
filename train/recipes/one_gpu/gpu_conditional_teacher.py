"""The teacher for `gpu_conditional_distill`: as `gpu_conditional`, on ResNet-50.

Paper      Conditional DETR, arXiv 2108.06152; its schedule in proportion
Command    python -m train fit gpu_conditional_teacher --data FOLDER
Hardware   a GPU of 24 GB or more; --optim.passes 2 for a smaller one
Time       not measured
Expect     depends on the data
"""

from dataclasses import replace

from train.recipes.one_gpu import gpu_conditional
from train.run import Run


def run() -> Run:
    """`gpu_conditional` on ResNet-50."""
    start = gpu_conditional.run()
    return replace(start, name="gpu_conditional_teacher", student=replace(start.student, backbone="resnet50"))
