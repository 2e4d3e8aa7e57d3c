"""Conditional DETR on MobileNetV2, alone.

Paper      DETRDistill, arXiv 2211.10156, Table 10; Conditional DETR, arXiv 2108.06152
Command    python -m train fit conditional_mobilenetv2 --data.train coco/annotations/instances_train2017.json
           --data.val coco/annotations/instances_val2017.json
Hardware   8 GPUs of 2 images in the original: torchrun --nproc-per-node 8 -m train fit ...
Time       not measured
Expect     AP 33.7 after 50 epochs in Table 10
Tiny       shapes_conditional

Its maps have 1280 channels, the last those of its last 1x1 convolution, and no stage is frozen,
as in the release's student of Deformable DETR. There the statistics of BatchNorm moved in training and ImageNet's weights
were those of mmcls; here they stay, and the weights are torchvision's.
"""

from dataclasses import replace

from train.recipes.from_papers import conditional_r50
from train.run import Run


def run() -> Run:
    """`conditional_r50` on MobileNetV2, with no frozen stage."""
    start = conditional_r50.run()
    student = replace(start.student, backbone="mobilenet_v2", frozen=0)
    return replace(start, name="conditional_mobilenetv2", student=student)
