"""The student of `gpu_deformable` with the three losses of DETRDistill under your own teacher.

Paper      DETRDistill, arXiv 2211.10156: logits, target-aware features, query-prior assignment
Command    python -m train fit gpu_deformable_distill --teacher runs/gpu_deformable_teacher --data FOLDER
Hardware   a GPU of 24 GB or more; --optim.passes 2 for a smaller one
Time       not measured; a step takes about twice that of `gpu_deformable`
Expect     depends on the data
"""

from dataclasses import replace

from train.recipes.on_shapes.shapes_distill import LOSSES
from train.recipes.one_gpu import gpu_deformable
from train.run import Run


def run() -> Run:
    """`gpu_deformable` with the three losses of DETRDistill; the teacher comes from --teacher."""
    return replace(gpu_deformable.run(), name="gpu_deformable_distill", losses=LOSSES)
