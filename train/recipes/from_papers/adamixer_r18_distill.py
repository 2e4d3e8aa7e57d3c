"""AdaMixer on ResNet-18 under its ResNet-101, with the three losses of DETRDistill.

Paper      DETRDistill, arXiv 2211.10156, Table 10; AdaMixer, arXiv 2203.16507
Command    python -m train fit adamixer_r18_distill --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Teacher    python -m train fit adamixer_r101, with the same data
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 40.3 after 12 epochs in Table 10, +2.0 by distilling
Tiny       shapes_distill
"""

from dataclasses import replace

from train.recipes.from_papers import adamixer_r18, adamixer_r50_distill
from train.run import Run


def run() -> Run:
    """`adamixer_r50_distill` with the student of `adamixer_r18`."""
    start = adamixer_r50_distill.run()
    return replace(start, name="adamixer_r18_distill", student=adamixer_r18.run().student)
