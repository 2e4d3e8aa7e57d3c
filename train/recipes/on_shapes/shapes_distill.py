"""The student of `shapes` with the three losses of DETRDistill under the shipped teacher.

Paper      DETRDistill, arXiv 2211.10156: logits, target-aware features, query-prior assignment
Command    python -m train fit shapes_distill
Hardware   two CPU cores, no file, no download
Time       about 7 minutes
Expect     AP about 53 (52 to 54 over three seeds), 8 above `shapes`
"""

from dataclasses import replace
from pathlib import Path

from core.losses import detection, features, logits, prior
from train.recipes.on_shapes import shapes
from train.run import Losses, Run

TEACHER = Path("assets/teacher_shapes.safetensors")
LOGITS = logits.Config(weight=1.0)
FEATURES = features.Config(weight=1.0)
LOSSES = Losses(
    detection=detection.Config(weight=1.0), logits=LOGITS, features=FEATURES, prior=prior.Config(weight=1.0)
)


def run() -> Run:
    """`shapes` with the three losses of DETRDistill and the shipped teacher."""
    return replace(shapes.run(), name="shapes_distill", losses=LOSSES, teacher=TEACHER)
