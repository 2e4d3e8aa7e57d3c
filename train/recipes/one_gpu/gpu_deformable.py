"""Deformable DETR on ResNet-18 at 640 pixels, on your own photos with one GPU, alone.

Paper      Deformable DETR, arXiv 2010.04159; its schedule in proportion
Command    python -m train fit gpu_deformable --data FOLDER
Hardware   a GPU of 16 GB or more; --batch 8 --lr with half the rate for a smaller one
Time       not measured
Expect     depends on the data

300 queries, with refinement of boxes. The rate is half the original's, whose steps have 32 images; the last fifth of the steps,
in which the original has a tenth of the rate, lowers it evenly.
100 epochs suit about 1,000 images; take --epochs 50 for 5,000 and --epochs 12 to 24 for 50,000 or more.
"""

from dataclasses import replace

from train.recipes.from_papers import deformable_r50
from train.recipes.one_gpu import gpu_adamixer
from train.run import Run


def run() -> Run:
    """`gpu_adamixer` with the student and the optimiser of Deformable DETR's release."""
    original, start = deformable_r50.run(), gpu_adamixer.run()
    student = replace(original.student, backbone="resnet18", refine=True)
    optim = replace(
        original.optim, lr=1e-4, epochs=100, batch=16, warmup=500, schedule="flat-decay", milestones=(), tail=0.2
    )
    return replace(start, name="gpu_deformable", student=student, optim=optim)
