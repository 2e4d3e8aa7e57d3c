"""`shapes_distill` with the paper's equations as they are printed.

Paper      DETRDistill, arXiv 2211.10156, Eq. 3, 4 and 7 to 10: plain sums over pairs, masks by inner products
Command    python -m train fit shapes_printed
Hardware   two CPU cores, no file, no download
Time       as shapes_distill
Expect     not measured; for study, since its feature loss follows the scale of the features
"""

from dataclasses import replace

from train.recipes.on_shapes import shapes_distill
from train.run import Run


def run() -> Run:
    """`shapes_distill` with options of logits and features that follow the printed equations."""
    start = shapes_distill.run()
    losses = replace(
        start.losses,
        logits=replace(shapes_distill.LOGITS, normalise="sum", subtract_entropy=False),
        features=replace(shapes_distill.FEATURES, mask="inner", scale="none"),
    )
    return replace(start, name="shapes_printed", losses=losses)
