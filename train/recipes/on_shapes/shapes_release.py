"""`shapes_distill` with what the paper's release executes, which is another algorithm.

One matching of all queries, background's classes included; masks of the top 100 merged, on the neck's features, without an
adapter; every stage. Its faults are corrected: the teacher's assignment is passed on to the query prior, and student queries
without a partner have no target. Its InfoNCE term, which is not in the paper, is a loss of its own: --losses.contrast.weight 1.

Paper      DETRDistill's release, BIVLab-USTC/DETRDistill
Command    python -m train fit shapes_release
Hardware   two CPU cores, no file, no download
Time       as shapes_distill
Expect     not measured alone; a row of `python -m train study components`
"""

from dataclasses import replace

from train.recipes.on_shapes import shapes_distill
from train.run import Run


def run() -> Run:
    """`shapes_distill` with options of logits and features that follow the release's code."""
    start = shapes_distill.run()
    losses = replace(
        start.losses,
        logits=replace(shapes_distill.LOGITS, match="all", class_weight=1.0, subtract_entropy=False, clamp=True),
        features=replace(
            shapes_distill.FEATURES,
            combine="merged",
            quality="product",
            top=100,
            mask="signed",
            scale="none",
            levels="sum",
            stages="all",
            source="neck",
            adapter=False,
        ),
    )
    return replace(start, name="shapes_release", losses=losses)
