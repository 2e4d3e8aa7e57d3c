"""As `shapes_distill`, with what the paper's release executes, which is another algorithm.

One matching of all queries, background's classes included; masks of the top 100 merged, on the neck's features, without an
adapter; every stage. Its faults are mended: the teacher's assignment is passed on to the query prior, and students without
a partner have no target. Its InfoNCE term, of which the paper knows nothing, is a loss of its own: --losses.contrast.weight 1.

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
    start = shapes_distill.run()
    losses = replace(
        start.losses,
        logits=replace(start.losses.logits, match="all", class_weight=1.0, subtract_entropy=False, clamp=True),
        features=replace(
            start.losses.features,
            **dict(combine="merged", quality="product", top=100, mask="signed", scale="none", levels="sum"),
            **dict(stages="all", source="neck", adapter=False),
        ),
    )
    return replace(start, name="shapes_release", losses=losses)
