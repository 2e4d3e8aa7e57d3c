"""Conditional DETR on ResNet-18 at 640 pixels, on your own photos with one GPU, alone.

Paper      Conditional DETR, arXiv 2108.06152; its schedule in proportion
Command    python -m train fit gpu_conditional --data FOLDER
Hardware   a GPU of 16 GB or more; --batch 8 --lr with half the rate for a smaller one
Time       not measured
Expect     depends on the data

100 queries, a third of the original's. The rate is the original's; the last fifth of the steps, in which the original has a
tenth of the rate, lowers it evenly.
100 epochs suit about 1,000 images; take --epochs 50 for 5,000 and --epochs 12 to 24 for 50,000 or more.
"""

from dataclasses import replace

from train.recipes.from_papers import conditional_r50
from train.recipes.one_gpu import gpu_adamixer
from train.run import Run


def run() -> Run:
    """`gpu_adamixer` with the student and the optimiser of Conditional DETR's release."""
    original, start = conditional_r50.run(), gpu_adamixer.run()
    student = replace(original.student, backbone="resnet18", queries=100)
    optim = replace(original.optim, epochs=100, batch=16, warmup=500, schedule="flat-decay", milestones=(), tail=0.2)
    return replace(start, name="gpu_conditional", student=student, optim=optim)
