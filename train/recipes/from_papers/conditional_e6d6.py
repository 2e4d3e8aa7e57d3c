"""Conditional DETR on ResNet-50 with 6 layers in the encoder and 6 in the decoder, alone.

Paper      DETRDistill, arXiv 2211.10156, Table 4; Conditional DETR, arXiv 2108.06152
Command    python -m train fit conditional_e6d6 --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 33.0 in Table 4
Tiny       shapes_conditional_e4d4

The paper does not say how many epochs Table 4 is of, nor when the rate drops. Its AP suggests 12 epochs; here the rate
drops after 10, about as late in the schedule as after 40 of 50 (--optim.epochs, --optim.milestones).
"""

from dataclasses import replace

from train.recipes.from_papers import conditional_r50
from train.run import Run


def run() -> Run:
    """`conditional_r50` for 12 epochs."""
    start = conditional_r50.run()
    return replace(start, name="conditional_e6d6", optim=replace(start.optim, epochs=12, milestones=(10,)))
